"""The 0/1 knapsack problem: the solver `knapsack`, version `v1`."""

from optimized_tsp.solvers.knapsack.schemas import (
    KnapsackInstance,
    KnapsackItem,
    KnapsackParameters,
    KnapsackSolution,
)
from optimized_tsp.solvers.knapsack.solver import KnapsackSolver

__all__ = [
    "KnapsackInstance",
    "KnapsackItem",
    "KnapsackParameters",
    "KnapsackSolution",
    "KnapsackSolver",
]

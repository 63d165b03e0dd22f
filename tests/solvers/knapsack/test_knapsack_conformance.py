"""What every solver must do, for the knapsack."""

from __future__ import annotations

from typing import Any

from optimized_tsp.solvers.knapsack import KnapsackSolver
from optimized_tsp.solvers.registry import AnySolver
from tests.solvers.conformance import SolverConformance
from tests.solvers.knapsack.instances import knapsack, unprovable_knapsack


class TestKnapsackSolver(SolverConformance):
    def solver(self) -> AnySolver:
        return KnapsackSolver()

    def easy(self) -> tuple[dict[str, Any], int]:
        instance = knapsack([(60, 10), (100, 20), (120, 30)], capacity=50)
        return instance.model_dump(mode="json"), 60

    def slow(self) -> dict[str, Any]:
        return unprovable_knapsack().model_dump(mode="json")

    def wrong(self) -> dict[str, Any]:
        return {"items": [0, 1, 2], "value": 280, "weight": 60, "cost": 0}

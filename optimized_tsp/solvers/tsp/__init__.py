"""The travelling salesman problem: the solver `tsp`, version `v1`."""

from optimized_tsp.solvers.tsp.parameters import TspParameters
from optimized_tsp.solvers.tsp.schemas import Edge, TspInstance, TspSolution
from optimized_tsp.solvers.tsp.solver import TspSolver

__all__ = ["Edge", "TspInstance", "TspParameters", "TspSolution", "TspSolver"]

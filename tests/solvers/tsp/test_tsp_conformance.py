"""The solver `tsp` keeps the contract."""

from __future__ import annotations

from random import Random
from typing import Any

from optimized_tsp.solvers.registry import AnySolver
from optimized_tsp.solvers.tsp import TspSolver
from tests.solvers.conformance import SolverConformance


class TestTspConforms(SolverConformance):
    def solver(self) -> AnySolver:
        return TspSolver()

    def easy(self) -> tuple[dict[str, Any], int]:
        """Two rows of fourteen points: along one and back along the other."""
        coordinates = [[10.0 * column, row] for column in range(14) for row in (0.0, 10.0)]
        return {"coordinates": coordinates, "metric": "EUC_2D"}, 280

    def slow(self) -> dict[str, Any]:
        random = Random(5)
        points = [[random.uniform(0, 1e6), random.uniform(0, 1e6)] for _ in range(1_000)]
        return {"coordinates": points, "metric": "EUC_2D"}

    def wrong(self) -> dict[str, Any]:
        """The nodes as they come: a tour, but not of this cost."""
        return {"node_order": list(range(28)), "cost": 280}

    def infeasible(self) -> dict[str, Any]:
        return {"num_nodes": 2, "edges": [{"source": 0, "target": 1, "cost": 1}]}

"""Files with fixed edges keep the contract as other instances do: limits, cancelling, starts."""

from __future__ import annotations

from random import Random
from typing import Any

from optimized_tsp.solvers.registry import AnySolver
from optimized_tsp.solvers.tsp import TspSolver
from tests.solvers.conformance import SolverConformance
from tests.solvers.tsp.tsplib_texts import located


def with_fixed(text: str, *pairs: tuple[int, int]) -> dict[str, Any]:
    listed = "\n".join(f"{a} {b}" for a, b in pairs)
    return {"tsplib": text.replace("EOF", f"FIXED_EDGES_SECTION\n{listed}\n-1\nEOF")}


class TestFilesConform(SolverConformance):
    def solver(self) -> AnySolver:
        return TspSolver()

    def easy(self) -> tuple[dict[str, Any], int]:
        """Two rows of fourteen points, and a way straight across them in the middle.

        One of the 28 edges has to jump back over it: 27 of length 10 and one of 22.
        """
        points = [(10.0 * column, row) for column in range(14) for row in (0.0, 10.0)]
        return with_fixed(located(points, "EUC_2D"), (16, 15)), 292

    def slow(self) -> dict[str, Any]:
        random = Random(5)
        points = [(random.uniform(0, 1e6), random.uniform(0, 1e6)) for _ in range(1_000)]
        pairs = [(node, node + 1) for node in range(1, 1_000, 10)]
        return with_fixed(located(points, "EUC_2D"), *pairs)

    def wrong(self) -> dict[str, Any]:
        """The shortest tour of all, without the fixed edge."""
        order = [*range(0, 28, 2), *range(27, 0, -2)]
        return {"node_order": order, "cost": 280}

    def infeasible(self) -> dict[str, Any]:
        return with_fixed(located([(0, 0)] * 5, "EUC_2D"), (1, 2), (1, 3), (1, 4))

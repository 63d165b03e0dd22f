"""A linear relaxation of the symmetric problem, its cuts, and bounds that are safe."""

from __future__ import annotations

from optimized_tsp.solvers.tsp.relaxation.cuts import Cut, CutKind
from optimized_tsp.solvers.tsp.relaxation.problem import SymmetricProblem
from optimized_tsp.solvers.tsp.relaxation.root import (
    Core,
    RootListener,
    RootRelaxation,
    RootStatistics,
)

__all__ = [
    "Core",
    "Cut",
    "CutKind",
    "RootListener",
    "RootRelaxation",
    "RootStatistics",
    "SymmetricProblem",
]

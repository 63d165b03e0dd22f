"""Which solvers there are: ours, and those of installed packages (entry-point group)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from optimized_tsp.solvers.contract import Solver
from optimized_tsp.solvers.tsp import TspSolver

__all__ = ["AnySolver", "ENTRY_POINT_GROUP", "all_solvers", "find_solver"]

ENTRY_POINT_GROUP = "optimized_tsp.solvers"

AnySolver: TypeAlias = Solver[Any, Any, Any]

_BUILT_IN: tuple[type[AnySolver], ...] = (TspSolver,)


@cache
def all_solvers() -> dict[tuple[str, str], AnySolver]:
    """Every registered solver by (name, version); built-in ones win over a clash."""
    external = [point.load() for point in entry_points(group=ENTRY_POINT_GROUP)]
    return {(cls.name, cls.version): cls() for cls in (*external, *_BUILT_IN)}


def find_solver(name: str, version: str) -> AnySolver | None:
    """The solver registered as `name` and `version`, or None."""
    return all_solvers().get((name, version))

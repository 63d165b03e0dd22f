"""Which solvers there are: ours, and those of installed packages (entry-point group)."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeAlias

from optimized_tsp.solvers.contract import Solver
from optimized_tsp.solvers.knapsack import KnapsackSolver
from optimized_tsp.solvers.tsp import TspSolver

__all__ = ["AnySolver", "ENTRY_POINT_GROUP", "UnfitSolver", "all_solvers", "find_solver"]

ENTRY_POINT_GROUP = "optimized_tsp.solvers"

AnySolver: TypeAlias = Solver[Any, Any, Any]

_BUILT_IN: tuple[type[AnySolver], ...] = (TspSolver, KnapsackSolver)

# Both become part of addresses and of the names of schemas.
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_VERSION = re.compile(r"v[0-9]+(_[a-z0-9]+)*")

_FORMATTING = ("readers", "writers", "beside")


class UnfitSolver(Exception):
    """An installed package offers a solver that cannot be served; the message names both."""


@cache
def all_solvers() -> dict[tuple[str, str], AnySolver]:
    """Every registered solver by (name, version), ours first.

    Raises `UnfitSolver` for one of an installed package that cannot be loaded or breaks a rule:
    better no service than one that lacks a solver somebody counts on.
    """
    solvers: dict[tuple[str, str], AnySolver] = {(c.name, c.version): c() for c in _BUILT_IN}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP)):
        solver = _load(point)
        if (solver.name, solver.version) in solvers:
            raise _unfit(point, f"there is a solver {solver.name} {solver.version} already")
        solvers[solver.name, solver.version] = solver
    return solvers


def find_solver(name: str, version: str) -> AnySolver | None:
    """The solver registered as `name` and `version`, or None."""
    return all_solvers().get((name, version))


def _load(point: EntryPoint) -> AnySolver:
    try:
        solver: AnySolver = point.load()()
    except Exception as error:
        raise _unfit(point, f"it cannot be loaded ({type(error).__name__}: {error})") from error
    if not (_NAME.fullmatch(solver.name) and _VERSION.fullmatch(solver.version)):
        raise _unfit(
            point,
            f"a name is like bin_packing and a version like v1 or v2_experimental,"
            f" not {solver.name!r} and {solver.version!r}",
        )
    fields = solver.solution_type.model_fields
    if "cost" not in fields:
        raise _unfit(point, "its solutions have no field `cost`")
    if "node_order" in fields and fields["node_order"].annotation != list[int]:
        raise _unfit(point, "`node_order` is the name of a tour: it must be a list[int]")
    offered = [name for name in _FORMATTING if hasattr(solver, name)]
    if offered and len(offered) < len(_FORMATTING):
        raise _unfit(
            point, f"other types than JSON take {', '.join(_FORMATTING)}; all may be empty"
        )
    return solver


def _unfit(point: EntryPoint, reason: str) -> UnfitSolver:
    package = point.dist.name if point.dist else "an unknown package"
    return UnfitSolver(f"The solver {point.value} of {package} cannot be served: {reason}.")

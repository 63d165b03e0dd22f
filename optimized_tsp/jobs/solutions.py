"""Solutions between their public form (the solver's schema) and their columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.models import Job, Solution
from optimized_tsp.solvers.contract import relative_gap

__all__ = ["curve_point", "explain", "improve", "merge", "stored_solution"]

_LARGEST_BIGINT = 2**63 - 1


def stored_solution(row: Solution | Row[Any] | None) -> dict[str, Any] | None:
    """The best solution as the solver's schema has it, or None while (or since) there is none.

    A row of a query has the columns of a solution, NULL where there is none.
    """
    if row is None or row.cost is None or row.pruned_at is not None:
        return None
    solution: dict[str, Any] = dict(row.payload or {})
    if row.node_order is not None:
        solution["node_order"] = row.node_order
    return {**solution, "cost": row.cost}


def merge(
    row: Solution, solution: dict[str, Any] | None, lower_bound: int | None, *, elapsed_s: float
) -> EventType | None:
    """Put a solution and a bound into the row as far as they are better.

    Returns the event that tells of it; None, and nothing changes, when neither is better.
    """
    better = solution is not None and improve(row, solution, elapsed_s=elapsed_s)
    raised = _raise_bound(row, lower_bound)
    if better:
        return EventType.INCUMBENT
    return EventType.BOUND if raised else None


def curve_point(job: Job, row: Solution, elapsed_s: float) -> dict[str, Any]:
    """A point of the job's anytime curve: columns of `incumbents` beside the job's id."""
    return {
        "attempt": job.attempt,
        "elapsed_s": elapsed_s,
        "cost": row.cost,
        "lower_bound": row.lower_bound,
        "gap": row.gap,
    }


def improve(row: Solution, solution: dict[str, Any], *, elapsed_s: float) -> bool:
    """Put a better solution into the row; a worse or equal one changes nothing (returns False)."""
    cost: int = solution["cost"]
    if row.cost is not None and row.cost <= cost:
        return False
    rest = {key: value for key, value in solution.items() if key not in {"node_order", "cost"}}
    row.cost = cost
    row.node_order = solution.get("node_order")
    row.payload = rest or None
    row.time_to_best_s = elapsed_s
    if row.time_to_first_s is None:
        row.time_to_first_s = elapsed_s
    _set_gap(row)
    return True


def _raise_bound(row: Solution, lower_bound: int | None) -> bool:
    """Put a higher proven bound into the row; a lower one changes nothing (returns False)."""
    if lower_bound is None or (row.lower_bound is not None and row.lower_bound >= lower_bound):
        return False
    row.lower_bound = lower_bound
    _set_gap(row)
    return True


def explain(row: Solution, statistics: dict[str, Any] | None) -> None:
    """Put what the solver did into the row; facts with names of their own into their columns.

    A solver may say what it likes: what is not of a column's kind stays in `statistics` alone.
    """
    facts = statistics or {}
    row.statistics = statistics
    row.engine, row.proven_by = _text(facts.get("engine")), _text(facts.get("proven_by"))
    row.root_bound, row.nodes = _whole(facts.get("root_bound")), _whole(facts.get("nodes"))
    row.cp_sat_s = _number(facts.get("cp_sat_s"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and "\0" not in value else None


def _whole(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_BIGINT
    return value if fits and isinstance(value, int) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _set_gap(row: Solution) -> None:
    row.gap = relative_gap(row.cost, row.lower_bound)
    if row.first_gap is None:
        row.first_gap = row.gap

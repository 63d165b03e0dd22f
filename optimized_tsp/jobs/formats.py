"""Solutions in other media types than JSON, where a solver can write them."""

from __future__ import annotations

from typing import Any

from optimized_tsp.core.errors import NotAcceptable, NotFound
from optimized_tsp.jobs.submission import JSON
from optimized_tsp.solvers.contract import Formatting, InvalidInstance
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["solution_types", "write_solution"]


def solution_types(solver: AnySolver) -> tuple[str, ...]:
    """The media types a solver's solutions come in; JSON first."""
    return (JSON, *solver.writers) if isinstance(solver, Formatting) else (JSON,)


def write_solution(
    solver: AnySolver, media_type: str, instance_json: bytes, solution: dict[str, Any]
) -> str:
    """The solution of an instance as text; raises `NotAcceptable` where it cannot be shown so."""
    if solution["is_infeasible"]:
        raise NotFound("The instance is infeasible: there is nothing to show but the JSON answer.")
    if not isinstance(solver, Formatting):
        raise NotAcceptable(f"This solver does not write {media_type}.")
    own = {name: solution[name] for name in solver.solution_type.model_fields}
    try:
        return solver.writers[media_type](
            solver.instance_type.model_validate_json(instance_json),
            solver.solution_type.model_validate(own),
        )
    except InvalidInstance as error:
        raise NotAcceptable(str(error.problems[0].message)) from None

"""What a call can see: the caller's jobs of the solver in the path."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Depends

from optimized_tsp.core.errors import InputProblem, InvalidInput
from optimized_tsp.jobs.caller import TenantDep
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["job_path", "parse_tag", "scope_of", "solver_prefix"]


def solver_prefix(solver: AnySolver) -> str:
    """The path all calls of one solver and version start with."""
    return f"/{solver.name}_solver/{solver.version}"


def job_path(solver: AnySolver, job_id: UUID) -> str:
    """Where a job's status is."""
    return f"{solver_prefix(solver)}/jobs/{job_id}"


def parse_tag(text: str) -> tuple[str, str]:
    """A tag in a query, `key:value`; raises `InvalidInput`."""
    key, colon, value = text.partition(":")
    if not colon or not key or "\0" in text:
        raise InvalidInput(
            "A tag in a query has the form key:value.",
            [InputProblem("/query/tag", "malformed_tag", "must have the form key:value")],
        )
    return key, value


def scope_of(solver: AnySolver) -> Any:
    """A dependency that gives the `Scope` of a call; answers 401 without a valid key."""

    async def scope(tenant_id: TenantDep) -> Scope:
        return Scope(tenant_id, solver.name, solver.version)

    return Depends(scope)

"""What a call can see: the caller's jobs of the solver in the path."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from pydantic import StringConstraints

from optimized_tsp.jobs.caller import TenantDep
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["NO_NUL", "TagText", "job_path", "parse_tag", "scope_of", "solver_prefix"]

NO_NUL = r"^[^\x00]*$"
"""Text that Postgres can hold."""

TagText = Annotated[str, StringConstraints(pattern=r"^[^:\x00]{1,64}:[^\x00]{0,256}$")]
"""A tag in a query, `key:value`."""


def solver_prefix(solver: AnySolver) -> str:
    """The path all calls of one solver and version start with."""
    return f"/{solver.name}_solver/{solver.version}"


def job_path(solver: AnySolver, job_id: UUID) -> str:
    """Where a job's status is."""
    return f"{solver_prefix(solver)}/jobs/{job_id}"


def parse_tag(text: str) -> tuple[str, str]:
    """Key and value of a `TagText`."""
    key, _, value = text.partition(":")
    return key, value


def scope_of(solver: AnySolver) -> Any:
    """A dependency that gives the `Scope` of a call; answers 401 without a valid key."""

    async def scope(tenant_id: TenantDep) -> Scope:
        return Scope(tenant_id, solver.name, solver.version)

    return Depends(scope)

"""`GET /solvers`: what can be solved here, and where to post it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from optimized_tsp.jobs.caller import tenant
from optimized_tsp.jobs.endpoints import solver_prefix
from optimized_tsp.solvers.registry import all_solvers

__all__ = ["solvers_router"]

solvers_router = APIRouter(tags=["solvers"])


class SolverView(BaseModel):
    """One registered solver and version."""

    name: str
    version: str
    jobs: str = Field(description="Where its jobs are posted and listed.")
    examples: str = Field(description="Ready submissions to try.")
    live: str = Field(description="The websocket of its events.")
    instance_field: str = Field(description="The instance's name in a submission.")
    parameters_schema: dict[str, Any] = Field(description="JSON schema of its parameters.")


@solvers_router.get("/solvers", summary="What can be solved here")
async def solvers(_tenant: Annotated[UUID, Depends(tenant)]) -> list[SolverView]:
    """Every solver and version, ours and those of installed packages."""
    return [
        SolverView(
            name=solver.name,
            version=solver.version,
            jobs=f"{solver_prefix(solver)}/jobs",
            examples=f"{solver_prefix(solver)}/examples",
            live=f"{solver_prefix(solver)}/live",
            instance_field=solver.instance_field,
            parameters_schema=solver.parameters_type.model_json_schema(),
        )
        for _, solver in sorted(all_solvers().items())
    ]

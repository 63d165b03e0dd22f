"""Cancelling and removing jobs."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from optimized_tsp.jobs import commands
from optimized_tsp.jobs.endpoints.scope import scope_of
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.schemas import CancelledJobs, JobView
from optimized_tsp.jobs.services import ServicesDep
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["add_calls"]


def add_calls(router: APIRouter, solver: AnySolver) -> None:
    """`POST /jobs/{task_id}/cancel`, `DELETE /jobs/{task_id}`, `DELETE /jobs`."""
    _add_job_calls(router, solver)
    _add_bulk_cancel(router, solver)


def _add_job_calls(router: APIRouter, solver: AnySolver) -> None:
    in_scope = scope_of(solver)

    @router.post(
        "/jobs/{task_id:uuid}/cancel",
        status_code=202,
        summary="Stop a job, keep its best solution",
        response_model=JobView,
    )
    async def cancel(task_id: UUID, services: ServicesDep, scope: Scope = in_scope) -> JobView:
        """Safe to repeat; a job that has ended stays as it is. Never removes anything."""
        return await commands.cancel(services, scope, task_id)

    @router.delete(
        "/jobs/{task_id:uuid}",
        summary="Cancel an active job, remove an ended one",
        status_code=204,
        responses={202: {"model": JobView, "description": "Cancelled, not removed."}},
    )
    async def delete(
        task_id: UUID,
        services: ServicesDep,
        scope: Scope = in_scope,
        purge: Annotated[bool, Query(description="Remove it whatever its status.")] = False,  # noqa: FBT002 - a query parameter
    ) -> Response:
        """202 and the status when it was active or cancelled already; 204 when it is removed."""
        view = await commands.delete(services, scope, task_id, purge=purge)
        if view is None:
            return Response(status_code=204)
        return JSONResponse(view.model_dump(mode="json"), status_code=202)


def _add_bulk_cancel(router: APIRouter, solver: AnySolver) -> None:
    in_scope = scope_of(solver)

    @router.delete("/jobs", summary="Cancel all waiting jobs", response_model=CancelledJobs)
    async def cancel_waiting(
        services: ServicesDep,
        status: Annotated[  # noqa: ARG001 - says that only waiting jobs are meant
            Literal["Submitted"], Query(description="Must be given: only waiting jobs.")
        ],
        scope: Scope = in_scope,
    ) -> CancelledJobs:
        """Every job of yours that no worker has taken yet; running ones go on."""
        return await commands.cancel_waiting(services, scope)

"""The REST calls on jobs, once per registered solver."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.errors import BodyTooLarge, Unsupported
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.core.pagination import decode_cursor, encode_cursor
from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs import repository, service
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.schemas import JobView, solution_type, submission_type
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.solvers.registry import AnySolver, all_solvers

__all__ = ["Services", "ServicesDep", "build_jobs_routers", "solver_prefix"]

# Smaller bodies are parsed faster than a thread is reached.
_PARSE_IN_THREAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Services:
    """What the endpoints work with; the application puts it into `app.state.services`."""

    settings: Settings
    database: Database
    bus: Bus


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


def solver_prefix(solver: AnySolver) -> str:
    """The path all calls of one solver and version start with."""
    return f"/{solver.name}_solver/{solver.version}"


def build_jobs_routers() -> list[APIRouter]:
    """One router per registered solver, with that solver's own schemas."""
    return [_router(solver) for solver in all_solvers().values()]


def _router(solver: AnySolver) -> APIRouter:
    prefix = solver_prefix(solver)
    router = APIRouter(prefix=prefix, tags=[f"{solver.name} {solver.version}"])
    scope = Scope(DEFAULT_TENANT_ID, solver.name, solver.version)
    _add_submit(router, solver, scope)
    _add_reads(router, solver, scope)
    _add_changes(router, scope)
    return router


def _add_submit(router: APIRouter, solver: AnySolver, scope: Scope) -> None:
    body_schema = submission_type(solver).__name__

    @router.post(
        "/jobs",
        status_code=202,
        summary="Submit a problem",
        response_model=JobView,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": f"#/components/schemas/{body_schema}"}}
                },
            }
        },
    )
    async def submit(request: Request, response: Response, services: ServicesDep) -> JobView:
        """Store the job durably and answer 202; the queue is rung after the commit."""
        body = await _read_json_body(request, services.settings.max_body_bytes)
        if len(body) > _PARSE_IN_THREAD_BYTES:
            submission = await asyncio.to_thread(parse_submission, solver, body, services.settings)
        else:
            submission = parse_submission(solver, body, services.settings)
        async with services.database.write() as session:
            job_id = await service.submit_job(session, scope.tenant_id, submission)
        services.bus.announce(job_id, ring=True)
        response.headers["Location"] = f"{router.prefix}/jobs/{job_id}"
        async with services.database.read() as reading:
            return await repository.find_job(reading, scope, job_id)


def _add_reads(router: APIRouter, solver: AnySolver, scope: Scope) -> None:
    @router.get("/jobs/{task_id}", summary="A job's status", response_model=JobView)
    async def status(task_id: UUID, services: ServicesDep) -> JobView:
        async with services.database.read() as session:
            return await repository.find_job(session, scope, task_id)

    @router.get(
        "/jobs/{task_id}/solution",
        summary="The best solution so far",
        response_model=solution_type(solver),
    )
    async def solution(task_id: UUID, services: ServicesDep) -> Response:
        """404 while there is none; `final` says whether the job has ended."""
        async with services.database.read() as session:
            found = await repository.find_solution(session, scope, solver, task_id)
        return Response(orjson.dumps(found), media_type="application/json")

    @router.get("/jobs", summary="Jobs, newest first", response_model=list[JobView])
    async def jobs(
        response: Response,
        services: ServicesDep,
        status: Annotated[list[JobStatus] | None, Query(description="Only these.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(description="From the Link header.")] = None,
    ) -> list[JobView]:
        """One page; the next one is in the `Link` header (rel="next") while there is more."""
        before = decode_cursor(cursor) if cursor is not None else None
        async with services.database.read() as session:
            page = await repository.list_jobs(
                session, scope, statuses=status or [], before=before, limit=limit + 1
            )
        if len(page) > limit:
            page = page[:limit]
            response.headers["Link"] = _next_link(router.prefix, page[-1].task_id, limit, status)
        return page


def _add_changes(router: APIRouter, scope: Scope) -> None:
    @router.post(
        "/jobs/{task_id}/cancel",
        status_code=202,
        summary="Stop a job, keep its best solution",
        response_model=JobView,
    )
    async def cancel(task_id: UUID, services: ServicesDep) -> JobView:
        """Safe to repeat; a job that has ended stays as it is. Never removes anything."""
        async with services.database.write() as session:
            done = await service.cancel_job(session, scope, task_id)
        _announce(services.bus, task_id, done)
        async with services.database.read() as reading:
            return await repository.find_job(reading, scope, task_id)

    @router.delete(
        "/jobs/{task_id}",
        summary="Cancel an active job, remove an ended one",
        status_code=204,
        responses={202: {"model": JobView, "description": "Cancelled, not removed."}},
    )
    async def delete(
        task_id: UUID,
        services: ServicesDep,
        purge: Annotated[bool, Query(description="Remove it whatever its status.")] = False,  # noqa: FBT002
    ) -> Response:
        """202 and the status when it was active or cancelled already; 204 when it is removed."""
        async with services.database.write() as session:
            removed, done = await service.delete_job(session, scope, task_id, purge=purge)
        _announce(services.bus, task_id, done)
        if removed is service.Removed.REMOVED:
            return Response(status_code=204)
        async with services.database.read() as reading:
            view = await repository.find_job(reading, scope, task_id)
        return JSONResponse(view.model_dump(mode="json"), status_code=202)


def _announce(bus: Bus, job_id: UUID, cancelled: service.Cancelled) -> None:
    if cancelled is service.Cancelled.ASKED:
        bus.announce_cancel(job_id)
    elif cancelled is service.Cancelled.AT_ONCE:
        bus.announce(job_id)


def _next_link(prefix: str, last: UUID, limit: int, statuses: list[JobStatus] | None) -> str:
    filters = "".join(f"&status={status.value}" for status in statuses or [])
    return f'<{prefix}/jobs?cursor={encode_cursor(last)}&limit={limit}{filters}>; rel="next"'


async def _read_json_body(request: Request, limit: int) -> bytes:
    """The body, refused before it is parsed when it is too large, compressed or not JSON."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Unsupported(f"Send the body without Content-Encoding (it was {encoding!r}).")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Unsupported("Send the body with Content-Type: application/json.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge(limit=limit, size=int(announced))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(limit=limit, size=None)
    return bytes(body)

"""Reading jobs: status, solution, instance, lists."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from optimized_tsp.core.moments import Moment
from optimized_tsp.core.pagination import CURSOR_PATTERN, decode_cursor, encode_cursor
from optimized_tsp.jobs import repository
from optimized_tsp.jobs.endpoints.scope import NO_NUL, TagText, parse_tag, scope_of, solver_prefix
from optimized_tsp.jobs.formats import solution_types, write_solution
from optimized_tsp.jobs.lists import MOST_JOBS, Filters, list_jobs
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.requests import wanted_type
from optimized_tsp.jobs.schemas import JobView, solution_type
from optimized_tsp.jobs.services import ServicesDep
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.jobs.submission import JSON
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["add_calls"]


class ExampleView(BaseModel):
    """A ready problem."""

    name: str
    description: str
    submission: dict[str, Any] = Field(description="A whole body for POST /jobs.")
    labels: list[str] = Field(description="Names of the nodes (or items), by number; may be empty.")
    attribution: str = Field(description="Where the data come from, and their licence.")


def add_calls(router: APIRouter, solver: AnySolver) -> None:
    """`GET /examples`, `GET /jobs`, `GET /jobs/{task_id}` and what hangs below it."""
    _add_examples(router, solver)
    _add_job_calls(router, solver)
    _add_list(router, solver)


def _add_examples(router: APIRouter, solver: AnySolver) -> None:
    examples = [ExampleView(**asdict(example)) for example in solver.examples()]
    in_scope = scope_of(solver)

    @router.get("/examples", summary="Ready submissions to try", response_model=list[ExampleView])
    async def list_examples(_scope: Scope = in_scope) -> list[ExampleView]:
        """Post the `submission` of one as it is."""
        return examples


def _add_job_calls(router: APIRouter, solver: AnySolver) -> None:
    in_scope = scope_of(solver)

    @router.get("/jobs/{task_id:uuid}", summary="A job's status", response_model=JobView)
    async def status(task_id: UUID, services: ServicesDep, scope: Scope = in_scope) -> JobView:
        return await repository.find_job(services.database, services.places, scope, task_id)

    @router.get(
        "/jobs/{task_id:uuid}/solution",
        summary="The best solution so far",
        response_model=solution_type(solver),
        responses={200: {"content": {kind: {} for kind in solution_types(solver)}}},
    )
    async def solution(
        request: Request, task_id: UUID, services: ServicesDep, scope: Scope = in_scope
    ) -> Response:
        """404 while there is none; `final` says whether the job has ended."""
        kind = wanted_type(request, solution_types(solver))
        async with services.database.read() as session:
            found = await repository.find_solution(session, scope, solver, task_id)
            if kind == JSON:
                return Response(orjson.dumps(found), media_type=JSON)
            payload = await repository.find_instance(session, scope, task_id)
        text = await asyncio.to_thread(write_solution, solver, kind, payload, found)
        return Response(text, media_type=kind)

    @router.get(
        "/jobs/{task_id:uuid}/instance",
        summary="What was submitted",
        response_model=solver.instance_type,
    )
    async def instance(task_id: UUID, services: ServicesDep, scope: Scope = in_scope) -> Response:
        """The instance, members sorted by name."""
        async with services.database.read() as session:
            payload = await repository.find_instance(session, scope, task_id)
        return Response(payload, media_type="application/json")


def _add_list(router: APIRouter, solver: AnySolver) -> None:
    in_scope = scope_of(solver)

    @router.get("/jobs", summary="Jobs, newest first", response_model=list[JobView])
    async def jobs(
        response: Response,
        services: ServicesDep,
        scope: Scope = in_scope,
        status: Annotated[list[JobStatus] | None, Query(description="Only these.")] = None,
        submitted_after: Annotated[Moment | None, Query(description="RFC 3339.")] = None,
        submitted_before: Annotated[Moment | None, Query(description="RFC 3339.")] = None,
        tag: Annotated[
            list[TagText] | None, Query(description="key:value; several must all match.")
        ] = None,
        name: Annotated[str | None, Query(description="Exactly this name.", pattern=NO_NUL)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_JOBS)] = 50,
        cursor: Annotated[
            str | None, Query(description="From the Link header.", pattern=CURSOR_PATTERN)
        ] = None,
    ) -> list[JobView]:
        """One page; the next one is in the `Link` header (rel="next") while there is more."""
        filters = Filters(
            statuses=status or [],
            submitted_after=submitted_after,
            submitted_before=submitted_before,
            tags=[parse_tag(text) for text in tag or []],
            name=name,
        )
        before = decode_cursor(cursor) if cursor is not None else None
        page = await list_jobs(
            services.database, services.places, scope, filters, before=before, limit=limit + 1
        )
        if len(page) > limit:
            page = page[:limit]
            query = _query(filters, page[-1].task_id, limit)
            response.headers["Link"] = f'<{solver_prefix(solver)}/jobs?{query}>; rel="next"'
        return page


def _query(filters: Filters, last: UUID, limit: int) -> str:
    def time(moment: datetime | None) -> list[str]:
        return [] if moment is None else [moment.isoformat()]

    given: list[tuple[str, str]] = [
        ("cursor", encode_cursor(last)),
        ("limit", str(limit)),
        *(("status", status.value) for status in filters.statuses),
        *(("submitted_after", text) for text in time(filters.submitted_after)),
        *(("submitted_before", text) for text in time(filters.submitted_before)),
        *(("tag", f"{key}:{value}") for key, value in filters.tags),
        *(("name", name) for name in [filters.name] if name is not None),
    ]
    return urlencode(given)

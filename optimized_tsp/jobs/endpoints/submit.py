"""Submitting a problem, and asking what would happen."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from optimized_tsp.jobs import repository, service
from optimized_tsp.jobs.endpoints.scope import job_path, scope_of
from optimized_tsp.jobs.idempotency import Replay
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.requests import (
    IDEMPOTENCY_HEADER,
    MAX_WAIT_S,
    idempotency_key,
    preferred_wait_s,
    read_body,
)
from optimized_tsp.jobs.schemas import JobView, submission_type
from optimized_tsp.jobs.services import Services, ServicesDep
from optimized_tsp.jobs.states import TERMINAL
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["add_calls"]

JSON = "application/json"


def add_calls(router: APIRouter, solver: AnySolver) -> None:
    """`POST /jobs`."""
    in_scope = scope_of(solver)

    @router.post(
        "/jobs",
        status_code=202,
        summary="Submit a problem",
        response_model=JobView,
        responses={200: {"model": JobView, "description": "Ended within `Prefer: wait=N`."}},
        openapi_extra=_body_of(solver),
    )
    async def submit(
        request: Request,
        response: Response,
        services: ServicesDep,
        scope: Scope = in_scope,
        _key: Annotated[
            str | None,
            Header(
                alias=IDEMPOTENCY_HEADER,
                description="Kept for 24 h: the same key and body give the same job.",
            ),
        ] = None,
        _prefer: Annotated[
            str | None,
            Header(
                alias="Prefer",
                description=f"`wait=N`: answer when the job has ended, or after N seconds "
                f"(at most {MAX_WAIT_S}).",
            ),
        ] = None,
    ) -> JobView:
        """Store the job durably and answer 202; the queue is rung after the commit."""
        key, wait_s = idempotency_key(request), preferred_wait_s(request)
        body = await read_body(request, services.settings.max_body_bytes, (JSON,))
        submission = await services.parser.parse(solver, body)
        replay = None if key is None else Replay(key, hashlib.sha256(body).digest())
        async with services.database.write() as session:
            job_id, is_new = await service.submit_once(session, scope, submission, replay)
        if is_new:
            services.bus.announce(job_id, ring=True)
        response.headers["Location"] = job_path(solver, job_id)
        if wait_s:
            view = await _wait(services, scope, job_id, wait_s)
            response.headers["Preference-Applied"] = f"wait={wait_s}"
            response.status_code = 200 if view.status in TERMINAL else 202
            return view
        async with services.database.read() as reading:
            return await repository.find_job(reading, scope, job_id)


async def _wait(services: Services, scope: Scope, job_id: Any, wait_s: float) -> JobView:
    async def view() -> JobView | None:
        async with services.database.read() as session:
            found = await repository.find_job(session, scope, job_id)
        return found if found.status in TERMINAL else None

    ended = await services.waiters.until(job_id, view, timeout_s=wait_s)
    if ended is not None:
        return ended
    async with services.database.read() as session:
        return await repository.find_job(session, scope, job_id)


def _body_of(solver: AnySolver) -> dict[str, Any]:
    reference = f"#/components/schemas/{submission_type(solver).__name__}"
    return {"requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": reference}}}}}

"""Submitting a problem, and asking what would happen."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from optimized_tsp.core.outages import is_outage
from optimized_tsp.jobs import commands
from optimized_tsp.jobs.endpoints.beside import body_with_query, query_parameters
from optimized_tsp.jobs.endpoints.scope import job_path, scope_of
from optimized_tsp.jobs.idempotency import Replay
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.requests import (
    IDEMPOTENCY_HEADER,
    MAX_WAIT_S,
    idempotency_key,
    media_type,
    preferred_wait_s,
    read_body,
)
from optimized_tsp.jobs.schemas import (
    JobView,
    NoticeView,
    ValidationView,
    submission_type,
)
from optimized_tsp.jobs.services import Services, ServicesDep
from optimized_tsp.jobs.states import TERMINAL
from optimized_tsp.jobs.submission import JSON, Body, media_types
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["add_calls"]

_HEADERS = {
    IDEMPOTENCY_HEADER: "Kept for 24 h: the same key and body give the same job. 1 to 255 visible"
    " ASCII characters.",
    "Prefer": "`wait=N`: answer when the job has ended, or after N seconds (at most "
    f"{MAX_WAIT_S}).",
}


def add_calls(router: APIRouter, solver: AnySolver) -> None:
    """`POST /jobs` and `POST /jobs/validate`."""
    _add_submit(router, solver)
    _add_validate(router, solver)


def _add_submit(router: APIRouter, solver: AnySolver) -> None:
    in_scope = scope_of(solver)

    @router.post(
        "/jobs",
        status_code=202,
        summary="Submit a problem",
        response_model=JobView,
        responses={200: {"model": JobView, "description": "Ended within `Prefer: wait=N`."}},
        openapi_extra=_described(solver, _HEADERS),
    )
    async def submit(
        request: Request,
        response: Response,
        services: ServicesDep,
        scope: Scope = in_scope,
    ) -> JobView:
        """Store the job durably and answer 202; the queue is rung after the commit."""
        key, wait_s = idempotency_key(request), preferred_wait_s(request)
        body = await _body(request, services, solver)
        submission = await services.parser.parse(solver, body)
        replay = None if key is None else Replay(key, submission.fingerprint())
        view, _ = await commands.submit(services, scope, submission, replay)
        response.headers["Location"] = job_path(solver, view.task_id)
        if wait_s:
            view = await _wait(services, scope, view, wait_s)
            response.headers["Preference-Applied"] = f"wait={wait_s}"
            response.status_code = 200 if view.status in TERMINAL else 202
        return view


def _add_validate(router: APIRouter, solver: AnySolver) -> None:
    in_scope = scope_of(solver)

    @router.post(
        "/jobs/validate",
        summary="Check a problem without a job",
        response_model=ValidationView,
        openapi_extra=_described(solver, {}),
    )
    async def validate(
        request: Request,
        services: ServicesDep,
        _scope: Scope = in_scope,
    ) -> ValidationView:
        """The same checks as a submission, and what can be said without solving."""
        body = await _body(request, services, solver)
        found = await services.parser.parse(solver, body, diagnose=True)
        certificate = found.diagnosis.infeasibility if found.diagnosis else None
        return ValidationView(
            num_nodes=found.size.num_nodes,
            num_edges=found.size.num_edges,
            instance_bytes=len(found.payload),
            timeout=found.timeout_s,
            warnings=[NoticeView(**asdict(notice)) for notice in found.notices],
            is_infeasible=True if certificate else None,
            infeasibility=certificate,
        )


async def _body(request: Request, services: Services, solver: AnySolver) -> Body:
    content = await read_body(request, services.settings.max_body_bytes, media_types(solver))
    return body_with_query(request, solver, content, media_type(request))


async def _wait(services: Services, scope: Scope, stored: JobView, wait_s: float) -> JobView:
    """The job when it has ended, or as it is when time is up.

    It is stored: who waits for it is told so even if Postgres is away by then.
    """
    job_id = stored.task_id

    async def ended_view() -> JobView | None:
        found = await commands.view(services, scope, job_id)
        return found if found.status in TERMINAL else None

    with services.waiters.waiting_for(job_id) as waiter:
        ended = await waiter.until(ended_view, ("status", scope), timeout_s=wait_s)
    if ended is not None:
        return ended
    try:
        return await commands.view(services, scope, job_id)
    except Exception as error:
        if not is_outage(error):
            raise
        return stored


def _described(solver: AnySolver, headers: dict[str, str]) -> dict[str, Any]:
    reference = f"#/components/schemas/{submission_type(solver).__name__}"
    schemas = {kind: {"schema": {"type": "string"}} for kind in media_types(solver)}
    schemas[JSON] = {"schema": {"$ref": reference}}
    said = [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string"},
        }
        for name, description in headers.items()
    ]
    return {
        "parameters": query_parameters(solver) + said,
        "requestBody": {"required": True, "content": schemas},
    }

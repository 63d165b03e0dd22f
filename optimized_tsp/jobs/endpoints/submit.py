"""Submitting a problem, and asking what would happen."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from optimized_tsp.core.tags import MAX_TAGS
from optimized_tsp.jobs import commands
from optimized_tsp.jobs.endpoints.beside import body_with_query, instance_parameters
from optimized_tsp.jobs.endpoints.scope import NO_NUL, TagText, job_path, scope_of
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
from optimized_tsp.webhooks.address import MAX_URL_LENGTH

__all__ = ["add_calls"]

_BESIDE = "For bodies of other types than JSON."
NameParameter = Annotated[
    str | None, Query(description=f"The job's name. {_BESIDE}", max_length=200, pattern=NO_NUL)
]
TimeoutParameter = Annotated[
    float | None, Query(description=f"Seconds. {_BESIDE}", gt=0, allow_inf_nan=False)
]
TagParameter = Annotated[
    list[TagText] | None,
    Query(description=f"key:value, repeatable. {_BESIDE}", max_length=MAX_TAGS),
]


WebhookParameter = Annotated[
    str | None,
    Query(description=f"Where its end is posted to. {_BESIDE}", max_length=MAX_URL_LENGTH),
]


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
        openapi_extra=_body_of(solver),
    )
    async def submit(
        request: Request,
        response: Response,
        services: ServicesDep,
        scope: Scope = in_scope,
        name: NameParameter = None,
        timeout: TimeoutParameter = None,  # noqa: ASYNC109 - the job's, not this call's
        tag: TagParameter = None,
        webhook_url: WebhookParameter = None,
        _key: Annotated[
            str | None,
            Header(
                alias=IDEMPOTENCY_HEADER,
                description="Kept for 24 h: the same key and body give the same job. 1 to 255 "
                "visible ASCII characters.",
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
        body = await _body(request, services, solver, name, timeout, tag, webhook_url)
        submission = await services.parser.parse(solver, body)
        replay = None if key is None else Replay(key, submission.fingerprint())
        view, _ = await commands.submit(services, scope, submission, replay)
        response.headers["Location"] = job_path(solver, view.task_id)
        if wait_s:
            view = await _wait(services, scope, view.task_id, wait_s)
            response.headers["Preference-Applied"] = f"wait={wait_s}"
            response.status_code = 200 if view.status in TERMINAL else 202
        return view


def _add_validate(router: APIRouter, solver: AnySolver) -> None:
    in_scope = scope_of(solver)

    @router.post(
        "/jobs/validate",
        summary="Check a problem without a job",
        response_model=ValidationView,
        openapi_extra=_body_of(solver),
    )
    async def validate(
        request: Request,
        services: ServicesDep,
        _scope: Scope = in_scope,
        name: NameParameter = None,
        timeout: TimeoutParameter = None,  # noqa: ASYNC109 - the job's, not this call's
        tag: TagParameter = None,
        webhook_url: WebhookParameter = None,
    ) -> ValidationView:
        """The same checks as a submission, and what can be said without solving."""
        body = await _body(request, services, solver, name, timeout, tag, webhook_url)
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


async def _body(
    request: Request,
    services: Services,
    solver: AnySolver,
    name: str | None,
    timeout_s: float | None,
    tags: list[str] | None,
    webhook_url: str | None,
) -> Body:
    content = await read_body(request, services.settings.max_body_bytes, media_types(solver))
    return body_with_query(
        request,
        solver,
        content,
        media_type(request),
        name=name,
        timeout_s=timeout_s,
        tags=tags,
        webhook_url=webhook_url,
    )


async def _wait(services: Services, scope: Scope, job_id: UUID, wait_s: float) -> JobView:
    async def ended_view() -> JobView | None:
        found = await commands.view(services, scope, job_id)
        return found if found.status in TERMINAL else None

    ended = await services.waiters.until(job_id, ended_view, timeout_s=wait_s)
    return ended if ended is not None else await commands.view(services, scope, job_id)


def _body_of(solver: AnySolver) -> dict[str, Any]:
    reference = f"#/components/schemas/{submission_type(solver).__name__}"
    schemas = {kind: {"schema": {"type": "string"}} for kind in media_types(solver)}
    schemas[JSON] = {"schema": {"$ref": reference}}
    return {
        "parameters": instance_parameters(solver),
        "requestBody": {"required": True, "content": schemas},
    }

"""A job's events: in pages, or as a stream of server-sent events."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from optimized_tsp.core.database import ReadSession
from optimized_tsp.core.errors import Gone, InputProblem, InvalidInput
from optimized_tsp.events import log
from optimized_tsp.events.types import TERMINAL_EVENTS, JobEvent
from optimized_tsp.jobs import repository
from optimized_tsp.jobs.endpoints.scope import job_path, scope_of
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.requests import wanted_type
from optimized_tsp.jobs.services import Services, ServicesDep
from optimized_tsp.jobs.states import TERMINAL
from optimized_tsp.jobs.submission import JSON
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["add_calls"]

EVENT_STREAM = "text/event-stream"
_KEEP_ALIVE_S = 15.0
_SEQ = re.compile(r"[0-9]{1,10}")
_MAX_SEQ = 2**31 - 1


def add_calls(router: APIRouter, solver: AnySolver) -> None:
    """`GET /jobs/{task_id}/events`."""
    in_scope = scope_of(solver)

    @router.get(
        "/jobs/{task_id:uuid}/events",
        summary="A job's events",
        response_class=Response,
        responses={
            410: {"description": "Events behind `after` were removed because of their age."},
            204: {"description": "A stream asked for after the terminal event: it is over."},
            200: {
                "description": "A page of events, or with `Accept: text/event-stream` a stream "
                "that ends after the terminal event.",
                "content": {
                    "application/json": {"schema": {"type": "array", "items": _EVENT_SCHEMA}},
                    EVENT_STREAM: {"schema": {"type": "string"}},
                },
            },
        },
    )
    async def events(
        request: Request,
        task_id: UUID,
        services: ServicesDep,
        scope: Scope = in_scope,
        after: Annotated[int, Query(ge=0, le=_MAX_SEQ, description="Events after this seq.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        last_event_id: Annotated[
            str | None, Header(description="Resumes a stream after this seq.")
        ] = None,
    ) -> Response:
        """In order of `seq`; the next page is in the `Link` header while there is more."""
        kind = wanted_type(request, (JSON, EVENT_STREAM))
        job = await repository.find_job(services.database, services.places, scope, task_id)
        if kind == EVENT_STREAM:
            start = after if last_event_id is None else _seq(last_event_id)
            if not await _page(services, task_id, start, 1) and job.status in TERMINAL:
                return Response(status_code=204)  # tells an EventSource not to come back
            stream = _stream(services, task_id, start)
            return StreamingResponse(
                stream, media_type=EVENT_STREAM, headers={"Cache-Control": "no-store"}
            )
        page = await _page(services, task_id, after, limit + 1)
        headers = {}
        if len(page) > limit:
            page = page[:limit]
            query = f"after={page[-1].seq}&limit={limit}"
            headers["Link"] = f'<{job_path(solver, task_id)}/events?{query}>; rel="next"'
        body = b"[" + b",".join(event.to_json() for event in page) + b"]"
        return Response(body, media_type=JSON, headers=headers)


async def _page(services: Services, job_id: UUID, after: int, limit: int) -> list[JobEvent]:
    await log.sequence(services.database)
    async with services.database.read() as session:
        page = await log.events_of_job(session, job_id, after_seq=after, limit=limit)
        if not page or page[0].seq > after + 1:
            await _expect_unbroken(session, job_id, after)
        return page


async def _expect_unbroken(session: ReadSession, job_id: UUID, after: int) -> None:
    """Raise `Gone` when the event after `after` was there and is not any more."""
    last = await session.scalar(select(Job.last_seq).where(Job.id == job_id))
    # After that: an event that comes between the two questions is seen, not missed.
    first = await log.first_seq(session, job_id, after_seq=after) or (last or 0) + 1
    if first > after + 1:
        raise Gone("The first events of this job were removed, as old ones are.", oldest=first - 1)


class _Part(NamedTuple):
    """Events of a stream as they are sent, to everybody who waits for them."""

    text: bytes
    last: JobEvent


async def _stream(services: Services, job_id: UUID, after: int) -> AsyncIterator[bytes]:
    over = False
    with services.waiters.waiting_for(job_id) as waiter:
        while not over:
            news = partial(_part, services, job_id, after)
            try:
                part = await waiter.until(news, ("events", after), timeout_s=_KEEP_ALIVE_S)
            except Gone:
                return  # who comes back is told
            if part is not None:
                yield part.text
                after, over = part.last.seq, part.last.type in TERMINAL_EVENTS
            elif services.waiters.ended:
                return  # who comes back finds another process
            else:
                yield b": still there\n\n"


async def _part(services: Services, job_id: UUID, after: int) -> _Part | None:
    page = await _page(services, job_id, after, 200)
    return _Part(b"".join(map(_sent, page)), page[-1]) if page else None


def _sent(event: JobEvent) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.type.encode(), event.to_json())


def _seq(text: str) -> int:
    if not _SEQ.fullmatch(text) or int(text) > _MAX_SEQ:
        raise InvalidInput(
            "The header Last-Event-ID is not valid.",
            [InputProblem("/header/last-event-id", "malformed_seq", "must be a seq of this job")],
        )
    return int(text)


_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "task_id", "solver", "version", "seq", "at", "cursor", "data"],
    "properties": {
        "type": {"type": "string"},
        "task_id": {"type": "string", "format": "uuid"},
        "solver": {"type": "string"},
        "version": {"type": "string"},
        "seq": {"type": "integer", "minimum": 1},
        "at": {"type": "string", "format": "date-time"},
        "cursor": {"type": "string"},
        "data": {"type": "object"},
    },
}

"""A job's log: in pages of JSON, or as plain text."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response

from optimized_tsp.jobs.endpoints.scope import job_path, scope_of
from optimized_tsp.jobs.logs import LogLineView, LogView, find_log
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.requests import wanted_type
from optimized_tsp.jobs.services import ServicesDep
from optimized_tsp.jobs.submission import JSON
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["add_calls"]

TEXT = "text/plain"
_MAX_LINE = 2**31 - 1
_MOST_LINES = 100_000
"""More than a log can have."""


def add_calls(router: APIRouter, solver: AnySolver) -> None:
    """`GET /jobs/{task_id}/log`."""
    in_scope = scope_of(solver)

    @router.get(
        "/jobs/{task_id:uuid}/log",
        summary="What the solver said",
        response_model=LogView,
        responses={
            200: {"content": {TEXT: {"schema": {"type": "string"}}}},
            410: {"description": "These lines were removed because of their age."},
        },
    )
    async def log(
        request: Request,
        task_id: UUID,
        services: ServicesDep,
        scope: Scope = in_scope,
        after: Annotated[int, Query(ge=0, le=_MAX_LINE, description="Lines after this one.")] = 0,
        limit: Annotated[
            int, Query(ge=1, le=10_000, description="Most lines of a page of JSON.")
        ] = 1000,
    ) -> Response:
        """At most 1 MiB a job; the next page is in the `Link` header while there is more.

        While the job runs, ask again with the last line as `after`. As plain text all at once.
        """
        kind = wanted_type(request, [JSON, TEXT])
        most = limit if kind == JSON else _MOST_LINES
        async with services.database.read() as session:
            found = await find_log(session, scope, task_id, after=after, limit=most)
        if kind == TEXT:
            text = "".join(_plain(line) for line in found.lines)
            return Response(text, media_type=TEXT)
        headers = {}
        if len(found.lines) == limit and not found.complete:
            query = f"after={found.lines[-1].line}&limit={limit}"
            headers["Link"] = f'<{job_path(solver, task_id)}/log?{query}>; rel="next"'
        return Response(
            orjson.dumps(found.model_dump(mode="json")), media_type=JSON, headers=headers
        )


def _plain(line: LogLineView) -> str:
    level = "" if line.level == "info" else f"{line.level}: "
    return f"{line.elapsed:10.3f}  {level}{line.message}\n"

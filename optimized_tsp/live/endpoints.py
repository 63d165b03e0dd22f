"""The websocket endpoints `/live` and `/{name}_solver/{version}/live`."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Response, WebSocket

from optimized_tsp.core.errors import NotFound, ServiceError
from optimized_tsp.events.filter import EventFilter
from optimized_tsp.jobs.caller import Authenticator, bearer_key
from optimized_tsp.live.connection import Connection
from optimized_tsp.live.feed import Feed, database_trouble
from optimized_tsp.live.messages import problem_document
from optimized_tsp.live.origin import origin_allowed
from optimized_tsp.live.protocol import RESET_EXTENSION
from optimized_tsp.solvers.registry import find_solver

__all__ = ["OriginRefused", "build_live_router"]


class OriginRefused(ServiceError):
    """A web page of another site tried to open the feed."""

    status = 403
    code = "origin-refused"
    title = "Pages of other sites may not open the feed."


def build_live_router() -> APIRouter:
    """The endpoints; they find the process's `Feed` in `app.state.feed`."""
    router = APIRouter(tags=["live"])

    @router.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        """Events of all solvers."""
        await _serve(websocket, None)

    @router.websocket("/{name}_solver/{version}/live")
    async def solver_live(websocket: WebSocket, name: str, version: str) -> None:
        """Events of one solver."""
        await _serve(websocket, (name, version))

    return router


async def _serve(websocket: WebSocket, solver: tuple[str, str] | None) -> None:
    extension = websocket.scope["extensions"].get(RESET_EXTENSION)
    if extension is None:
        raise RuntimeError("the feed needs uvicorn with live.protocol.websocket_options()")
    feed: Feed = websocket.app.state.feed
    try:
        scope = await _admit(websocket, solver)
        await Connection(feed, websocket, scope, extension["reset"]).run()
    except ServiceError as error:
        document = problem_document(error) | {"instance": websocket.url.path}
        await websocket.send_denial_response(
            Response(
                orjson.dumps(document),
                error.status,
                headers=error.headers(),
                media_type="application/problem+json",
            )
        )


async def _admit(websocket: WebSocket, solver: tuple[str, str] | None) -> EventFilter:
    """What the caller may see; raises `ServiceError` for who may see nothing."""
    if solver is not None and find_solver(*solver) is None:
        name, version = solver
        raise NotFound(f"There is no solver {name} {version}; GET /solvers lists them.")
    origin, host = websocket.headers.get("origin"), websocket.headers.get("host")
    if not origin_allowed(origin, host):
        raise OriginRefused(f"A page of {origin} may not connect to {host}.")
    authenticator: Authenticator = websocket.app.state.services.authenticator
    with database_trouble():
        tenant_id = await authenticator.tenant_of(bearer_key(websocket))
    return EventFilter(tenant_id, solver=solver)

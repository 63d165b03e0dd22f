"""The websocket endpoints `/live` and `/{name}_solver/{version}/live`."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Response, WebSocket

from optimized_tsp.core.errors import NotFound, ServiceError
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.events.filter import EventFilter
from optimized_tsp.live.connection import Connection
from optimized_tsp.live.feed import Feed
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
        await _serve(websocket, EventFilter(DEFAULT_TENANT_ID))

    @router.websocket("/{name}_solver/{version}/live")
    async def solver_live(websocket: WebSocket, name: str, version: str) -> None:
        """Events of one solver."""
        if find_solver(name, version) is None:
            detail = f"There is no solver {name} {version}; GET /solvers lists them."
            await _refuse(websocket, NotFound(detail))
            return
        await _serve(websocket, EventFilter(DEFAULT_TENANT_ID, solver=(name, version)))

    return router


async def _serve(websocket: WebSocket, scope: EventFilter) -> None:
    origin = websocket.headers.get("origin")
    if not origin_allowed(origin, websocket.headers.get("host")):
        detail = f"A page of {origin} may not connect to {websocket.headers.get('host')}."
        await _refuse(websocket, OriginRefused(detail))
        return
    extension = websocket.scope["extensions"].get(RESET_EXTENSION)
    if extension is None:
        raise RuntimeError("the feed needs uvicorn with live.protocol.websocket_options()")
    feed: Feed = websocket.app.state.feed
    await Connection(feed, websocket, scope, extension["reset"]).run()


async def _refuse(websocket: WebSocket, error: ServiceError) -> None:
    document = problem_document(error) | {"instance": websocket.url.path}
    await websocket.send_denial_response(
        Response(orjson.dumps(document), error.status, media_type="application/problem+json")
    )

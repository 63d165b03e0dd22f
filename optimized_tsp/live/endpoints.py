"""The websocket endpoints: of all solvers, and of one."""

from __future__ import annotations

import re
from http import HTTPStatus

import orjson
import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState

from optimized_tsp.core.errors import (
    InputProblem,
    InvalidInput,
    NotFound,
    ServiceError,
    ServiceUnavailable,
)
from optimized_tsp.core.logging import log_once
from optimized_tsp.core.open_files import is_reserved
from optimized_tsp.jobs.caller import bearer_key
from optimized_tsp.live.connection import Connection
from optimized_tsp.live.frames import problem_document
from optimized_tsp.live.origin import origin_allowed
from optimized_tsp.live.peer import Peer
from optimized_tsp.live.protocol import NUMBER_EXTENSION, RESET_EXTENSION, WRITE_EXTENSION
from optimized_tsp.solvers.registry import find_solver

__all__ = ["LIVE_PATHS", "FeedFull", "LiveFeed", "OriginRefused"]

logger = structlog.get_logger(__name__)

LIVE_PATHS = ("/live", "/{name}_solver/{version}/live")
_PATH = re.compile(r"/(?:([^/]+)_solver/([^/]+)/)?live")


class OriginRefused(ServiceError):
    """A web page of another site tried to open the feed."""

    status = 403
    code = "origin-refused"
    title = "Pages of other sites may not open the feed."


class FeedFull(ServiceUnavailable):
    """This process has as many clients as it may have files open, but for some it needs."""

    code = "feed-full"
    title = "There are as many clients as this process can serve."


class LiveFeed:
    """ASGI middleware that serves the websockets of the feed; everything else goes on to `app`.

    They stand before the router: thousands of clients come back at once, and what an endpoint's
    dependencies and exit stacks are good for they do not need. `Services` and `Feed` of the process
    are found in `app.state`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _PATH.fullmatch(scope["path"]) if scope["type"] == "websocket" else None
        if path is None:
            await self._app(scope, receive, send)
            return
        name, version = path.groups()
        await _serve(WebSocket(scope, receive, send), (name, version) if name else None)


async def _serve(websocket: WebSocket, solver: tuple[str, str] | None) -> None:
    extensions = websocket.scope["extensions"]
    if not {RESET_EXTENSION, WRITE_EXTENSION, NUMBER_EXTENSION} <= extensions.keys():
        raise RuntimeError("the feed needs uvicorn with live.protocol.websocket_options()")
    state = websocket.app.state
    try:
        _check(websocket, solver)
        reset, writer = extensions[RESET_EXTENSION]["reset"], extensions[WRITE_EXTENSION]["writer"]
        peer, key = Peer(websocket, reset, writer), bearer_key(websocket)
        await Connection(state.services, state.feed, peer, solver=solver, key=key).run()
    except ServiceError as error:
        await _refuse(websocket, error)
    except Exception as defect:
        if websocket.application_state is not WebSocketState.CONNECTING:
            raise
        log_once(logger, defect, path=websocket.url.path)
        await _refuse(websocket, ServiceError("This is a defect of ours; it was logged."))


async def _refuse(websocket: WebSocket, error: ServiceError) -> None:
    """Answer the handshake with a problem document."""
    path = websocket.url.path
    say = logger.info if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else logger.warning
    say("feed_refused", path=path, status=error.status, code=error.code)
    document = problem_document(error) | {"instance": path}
    await websocket.send_denial_response(
        Response(
            orjson.dumps(document),
            error.status,
            headers=error.headers(),
            media_type="application/problem+json",
        )
    )


def _check(websocket: WebSocket, solver: tuple[str, str] | None) -> None:
    """Raise `ServiceError` for an unknown path, any query, pages of other sites, no room."""
    if solver is not None and find_solver(*solver) is None:
        name, version = solver
        raise NotFound(f"There is no solver {name} {version}; GET /solvers lists them.")
    if websocket.query_params:
        raise InvalidInput(
            "The feed takes no query parameters: say what you want in its first message, such as "
            '{"type":"subscribe","tag":"team:north"}; a key comes in the header or in an "auth".',
            [
                InputProblem("/query", "unknown_parameter", f"{name!r} is no parameter here")
                for name in websocket.query_params
            ],
        )
    origin, host = websocket.headers.get("origin"), websocket.headers.get("host")
    if not origin_allowed(origin, host):
        raise OriginRefused(f"A page of {origin} may not connect to {host}.")
    if is_reserved(websocket.scope["extensions"][NUMBER_EXTENSION]["number"]):
        raise FeedFull("Try again later.")

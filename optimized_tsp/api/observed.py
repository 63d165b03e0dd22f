"""What every request leaves behind: an id, a log line, a span, numbers; and one word per defect."""

from __future__ import annotations

import time
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from optimized_tsp.api.errors import defect_response
from optimized_tsp.api.request_metrics import RequestMetrics
from optimized_tsp.core.context import (
    Origin,
    acceptable_request_id,
    coming_from,
    valid_traceparent,
)
from optimized_tsp.core.logging import log_once
from optimized_tsp.core.tracing import NoTracing, Span, SpanKind, Tracing

__all__ = ["REQUEST_ID_HEADER", "Observed"]

REQUEST_ID_HEADER = "X-Request-ID"

logger = structlog.get_logger(__name__)

# Asked every few seconds by machines: nobody wants to read that, or to pay for its traces.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class Observed:
    """ASGI middleware. A request id of the caller's is kept, else one is made; both are returned.

    It is also the last place for errors that nobody expected: they are logged once, with the id.
    """

    def __init__(self, app: ASGIApp, *, metrics: RequestMetrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = Origin(
            acceptable_request_id(headers.get(REQUEST_ID_HEADER)),
            valid_traceparent(headers.get("traceparent")),
        )
        if scope["type"] == "http":
            await _Request(scope, origin, self._metrics).run(
                self._app, receive, send, self._tracing
            )
        else:
            with coming_from(origin):
                await self._app(scope, receive, send)


class _Request:
    def __init__(self, scope: Scope, origin: Origin, metrics: RequestMetrics) -> None:
        self._scope = scope
        self._origin = origin
        self._metrics = metrics
        self._began = time.perf_counter()
        self._status = 0

    async def run(self, app: ASGIApp, receive: Receive, send: Send, tracing: Tracing) -> None:
        """Serve it, then say how it went."""

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = str(self._origin.request_id)
            await send(message)

        if self._scope["path"] in _QUIET:
            tracing = NoTracing()
        method, parent = self._scope["method"], self._origin.traceparent
        with (
            tracing.span(method, kind=SpanKind.SERVER, parent=parent) as span,
            coming_from(Origin(self._origin.request_id, span.traceparent)),
        ):
            try:
                await app(self._scope, receive, send_with_id)
            except Exception as error:
                span.fail(error)
                log_once(logger, error, path=self._scope["path"])
                if self._status:  # the answer had begun: all that is left is to break it off
                    raise
                await defect_response(self._scope["path"])(self._scope, receive, send_with_id)
            finally:
                self._tell(span)

    def _tell(self, span: Span) -> None:
        method, path = self._scope["method"], self._scope["path"]
        took_s = time.perf_counter() - self._began
        route = getattr(self._scope.get("route"), "path_format", None)
        self._metrics.observe(method, route, self._status, took_s)
        job = self._scope.get("path_params", {}).get("task_id")
        span.rename(f"{method} {route or 'unknown'}")
        span.set(
            http__request__method=method,
            http__route=route,
            http__response__status_code=self._status,
            request_id=self._origin.request_id,
            job=None if job is None else str(job),
        )
        if self._status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(str(self._status))
        say = logger.debug if path in _QUIET else logger.info
        say(
            "request",
            method=method,
            path=path,
            status=self._status,
            ms=round(1000 * took_s, 1),
            **({} if job is None else {"job": str(job)}),
        )

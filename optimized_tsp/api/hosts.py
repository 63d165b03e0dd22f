"""Refuses calls to host names that are not ours.

A page of another site can point its own host name at the loopback address and so reach a service
that needs no key there; what it cannot do is send our host name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from optimized_tsp.api.errors import problem_response
from optimized_tsp.core.errors import ServiceError

__all__ = ["HostCheck", "UnknownHost"]


class UnknownHost(ServiceError):
    """The call was addressed to a name this service does not answer to."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "unknown-host"
    title: ClassVar[str] = "This service does not answer to that host name."


class HostCheck:
    """ASGI middleware; `*.example.org` stands for every name below example.org."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._allowed = tuple(name.lower() for name in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            host = _name(Headers(scope=scope).get("host", ""))
            if not any(_matches(host, pattern) for pattern in self._allowed):
                detail = (
                    f"The Host {host!r} is not allowed; "
                    "add it to OPTIMIZED_TSP_ALLOWED_HOSTS if it is yours."
                )
                await problem_response(UnknownHost(detail), scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _name(host: str) -> str:
    """The name without its port; an IPv6 address keeps its brackets."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern

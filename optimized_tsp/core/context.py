"""Where the work at hand comes from: the request it belongs to, in log lines and in traces."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from structlog.contextvars import bound_contextvars

from optimized_tsp.core.ids import new_id

__all__ = ["Origin", "acceptable_request_id", "coming_from", "current_origin", "valid_traceparent"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# W3C Trace Context, section 3.2: version 00; zero ids are not valid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that work is done for, and the trace (W3C `traceparent`) it is a part of."""

    request_id: str | None = None
    traceparent: str | None = None


_NOBODY = Origin()
_ORIGIN: ContextVar[Origin] = ContextVar("origin", default=_NOBODY)


def current_origin() -> Origin:
    """What the code at hand runs for."""
    return _ORIGIN.get()


@contextmanager
def coming_from(origin: Origin, **facts: str | int) -> Generator[None]:
    """Everything in the block, tasks begun in it included, is done for this request.

    Log lines get its id and `facts`.
    """
    token = _ORIGIN.set(origin)
    if origin.request_id is not None:
        facts["request_id"] = origin.request_id
    try:
        with bound_contextvars(**facts):
            yield
    finally:
        _ORIGIN.reset(token)


def acceptable_request_id(presented: str | None) -> str:
    """The id a caller gave its request, if it is one we can log and send back; else a new one."""
    if presented is not None and _REQUEST_ID.fullmatch(presented):
        return presented
    return new_id().hex


def valid_traceparent(presented: str | None) -> str | None:
    """The header `traceparent` of a request, None when there is none or it is malformed."""
    return presented if presented is not None and _TRACEPARENT.fullmatch(presented) else None

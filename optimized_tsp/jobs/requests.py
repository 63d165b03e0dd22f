"""Reading what a request asks for: its body within limits, and its headers of wishes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import Request

from optimized_tsp.core.errors import (
    BodyTooLarge,
    InputProblem,
    InvalidInput,
    NotAcceptable,
    Unsupported,
)
from optimized_tsp.jobs.idempotency import KEY_RULE, is_key

__all__ = [
    "IDEMPOTENCY_HEADER",
    "MAX_WAIT_S",
    "idempotency_key",
    "media_type",
    "preferred_wait_s",
    "read_body",
    "wanted_type",
]

IDEMPOTENCY_HEADER = "Idempotency-Key"
MAX_WAIT_S = 60

_Q = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_WAIT = re.compile(r"[0-9]{1,6}")


async def read_body(request: Request, limit: int, media_types: tuple[str, ...]) -> bytes:
    """The body, refused before it is parsed: too large, compressed or of another type."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Unsupported(f"Send the body without Content-Encoding (it was {encoding!r}).")
    if media_type(request) not in media_types:
        raise Unsupported(f"Send the body with Content-Type: {' or '.join(media_types)}.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge(limit=limit, size=int(announced))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(limit=limit, size=None)
    return bytes(body)


def wanted_type(request: Request, offered: Sequence[str]) -> str:
    """The offered media type that the Accept header wants most; raises `NotAcceptable`.

    RFC 9110 section 12.5.1: of the ranges that cover a type the most specific one decides, and
    q=0 excludes it. Of types wanted alike the one named more exactly wins, then the one named
    first, then the one offered first. Parameters beside q are passed over.
    """
    ranges = _accepted(",".join(request.headers.getlist("accept")))
    best, best_rank = "", (0.0, 0, 0)
    for media_type in offered:
        covering = [found for found in ranges if found.pattern in _patterns_of(media_type)]
        if not covering:
            continue
        found = max(covering, key=lambda accepted: accepted.exactness)
        rank = (found.quality, found.exactness, -found.place)
        if found.quality > 0 and rank > best_rank:
            best, best_rank = media_type, rank
    if not best:
        raise NotAcceptable(f"This is offered as {', '.join(offered)}.")
    return best


class _Accepted(NamedTuple):
    """One range of an Accept header; `exactness` is 2 for a type, 1 for type/*, 0 for */*."""

    pattern: str
    quality: float
    exactness: int
    place: int


def _accepted(accept: str) -> list[_Accepted]:
    ranges = []
    for place, part in enumerate((accept.strip(" ,") or "*/*").split(",")):
        pattern, *parameters = (piece.strip().lower() for piece in part.split(";"))
        exactness = 2 - pattern.split("/").count("*")
        ranges.append(_Accepted(pattern, _quality(parameters), exactness, place))
    return ranges


def _patterns_of(media_type: str) -> set[str]:
    kind, _, _ = media_type.partition("/")
    return {media_type, f"{kind}/*", "*/*"}


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if match := _Q.fullmatch(parameter):
            return float(match[1])
    return 1.0


def media_type(request: Request) -> str:
    """The type of the body without its parameters, lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def idempotency_key(request: Request) -> str | None:
    """The caller's key for this submission, None when there is none; raises `InvalidInput`."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is not None and not is_key(key):
        raise _bad_header(IDEMPOTENCY_HEADER, "malformed_key", KEY_RULE)
    return key


def preferred_wait_s(request: Request) -> int:
    """Seconds the caller wants to wait for the end, 0 for not at all; raises `InvalidInput`.

    RFC 7240: preferences that are not understood are passed over, the first of a name counts.
    """
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            return _wait_s(value.strip().removeprefix('"').removesuffix('"'))
    return 0


def _wait_s(value: str) -> int:
    if not _WAIT.fullmatch(value):
        raise _bad_header("Prefer", "malformed_prefer", "must be 'wait=N', N in whole seconds")
    if int(value) > MAX_WAIT_S:
        raise _bad_header("Prefer", "wait_too_long", f"wait may be at most {MAX_WAIT_S} seconds")
    return int(value)


def _bad_header(name: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(
        f"The header {name} is not valid.", [InputProblem(f"/{name}", code, message)]
    )

"""The messages of the websocket feed, both ways (docs/live-feed.md)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias
from uuid import UUID

import orjson
from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from optimized_tsp.core.errors import InputProblem, InvalidInput, ServiceError
from optimized_tsp.events.types import JobEvent, decode_position, encode_position
from optimized_tsp.jobs.submission import problems_of
from optimized_tsp.solvers.contract import StrictModel

__all__ = [
    "MAX_MESSAGE_BYTES",
    "PING",
    "PONG",
    "ClientMessage",
    "Ping",
    "Pong",
    "Subscribe",
    "error_frame",
    "event_frame",
    "expired_frame",
    "parse_message",
    "problem_document",
    "subscribed_frame",
]

MAX_MESSAGE_BYTES = 256 * 1024
"""Largest message of a client; a larger one closes the connection with 1009."""

PING = '{"type":"ping"}'
PONG = '{"type":"pong"}'


class Subscribe(StrictModel):
    """Which events the client wants, and from where on; replaces what it asked for before."""

    type: Literal["subscribe"]
    task_id: UUID | None = Field(default=None, description="Only this job's events.")
    tag: str | None = Field(
        default=None, max_length=321, description="Only jobs with this tag, `key:value`."
    )
    after: str | None = Field(
        default=None, description="The cursor of the last event seen; without it: from now on."
    )
    tours: bool = Field(default=False, description="Not available in this version.")

    @field_validator("tag")
    @classmethod
    def _check_tag(cls, tag: str | None) -> str | None:
        if tag is not None and (tag.find(":") < 1 or "\0" in tag):
            raise PydanticCustomError("malformed_tag", "must be a tag's key and value, `key:value`")
        return tag

    @field_validator("after")
    @classmethod
    def _check_after(cls, after: str | None) -> str | None:
        try:
            if after is not None:
                decode_position(after)
        except ValueError:
            raise PydanticCustomError(
                "malformed_cursor", "must be a cursor of this feed, unchanged"
            ) from None
        return after

    @field_validator("tours")
    @classmethod
    def _refuse_tours(cls, tours: bool) -> bool:  # noqa: FBT001 - pydantic calls it
        if tours:
            raise PydanticCustomError(
                "tours_unavailable",
                "tours are not sent in this version: leave `tours` out and GET the job's solution",
            )
        return tours

    @property
    def key_and_value(self) -> tuple[str, str] | None:
        """The tag in its two parts; the key ends at the first colon."""
        if self.tag is None:
            return None
        key, _, value = self.tag.partition(":")
        return key, value

    @property
    def position(self) -> int | None:
        """The position `after` stands for."""
        return None if self.after is None else decode_position(self.after)


class Ping(StrictModel):
    """A sign of life that wants a pong."""

    type: Literal["ping"]


class Pong(StrictModel):
    """The answer to our ping."""

    type: Literal["pong"]


ClientMessage: TypeAlias = Subscribe | Ping | Pong


_MODELS: dict[str, type[Subscribe] | type[Ping] | type[Pong]] = {
    "subscribe": Subscribe,
    "ping": Ping,
    "pong": Pong,
}


def parse_message(text: str) -> ClientMessage:
    """A client's message; raises `InvalidInput` with a pointer to each problem."""
    model = _MODELS.get(_type_of(text))
    if model is None:
        known = ", ".join(_MODELS)
        raise InvalidInput(
            "The message is of no known type.",
            [InputProblem("/type", "unknown_type", f"must be one of: {known}")],
        )
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput("The message is not valid.", problems_of(error)) from None


def _type_of(text: str) -> str:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        place = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise InvalidInput(
            "The message is not JSON.", [InputProblem("", "not_json", place)]
        ) from None
    if not isinstance(message, dict):
        raise InvalidInput(
            "The message is not a JSON object.",
            [InputProblem("", "not_an_object", 'must be an object such as {"type":"subscribe"}')],
        )
    return str(message.get("type"))


def event_frame(event: JobEvent) -> str:
    """The message that carries an event; made once and sent to everybody who wants it."""
    return f'{{"type":"event","event":{event.to_json().decode()}}}'


def subscribed_frame(position: int) -> str:
    """The answer to a subscription: events after this cursor follow."""
    return _frame({"type": "subscribed", "cursor": encode_position(position)})


def expired_frame(oldest: int) -> str:
    """The answer to a cursor that is too old: `cursor` is the oldest that still works."""
    return _frame({"type": "expired", "cursor": encode_position(oldest)})


def error_frame(error: ServiceError) -> str:
    """What was wrong, before the connection is closed."""
    return _frame({"type": "error", "error": problem_document(error)})


def problem_document(error: ServiceError) -> dict[str, Any]:
    """The members of an RFC 9457 problem; `code` and `pointer` are those of the first problem."""
    first = error.problems[0] if error.problems else InputProblem("", error.code, error.detail)
    return {
        "type": f"urn:optimized-tsp:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": first.code,
        "pointer": first.pointer,
        "errors": [
            {"pointer": p.pointer, "code": p.code, "message": p.message} for p in error.problems
        ],
    }


def _frame(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()

"""What a client may say on the websocket (docs/live-feed.md); `frames` has what it is told."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias
from uuid import UUID

import orjson
from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError, to_json

from optimized_tsp.core.errors import InputProblem, InvalidInput
from optimized_tsp.core.problems import problems_of
from optimized_tsp.events.types import decode_position
from optimized_tsp.jobs.idempotency import KEY_RULE, is_key
from optimized_tsp.solvers.contract import StrictModel

__all__ = [
    "MAX_MESSAGE_BYTES",
    "Auth",
    "ClientMessage",
    "DeleteJob",
    "DeleteQueue",
    "GetJob",
    "GetQueue",
    "InvalidRequest",
    "Ping",
    "Pong",
    "Request",
    "RequestId",
    "SubmitJob",
    "Subscribe",
    "parse_message",
]

MAX_MESSAGE_BYTES = 256 * 1024
"""Largest message of a client; a larger one closes the connection with 1009."""

RequestId: TypeAlias = str | int
"""What a client calls a request of its own; the answer has the same."""

_MAX_ID_LENGTH = 64
_MAX_ID = 2**53 - 1  # what JavaScript can tell apart


class InvalidRequest(InvalidInput):
    """A message that is not valid, of a client that wants the answer under this `id`."""

    def __init__(self, request_id: RequestId, error: InvalidInput) -> None:
        super().__init__(error.detail, error.problems)
        self.request_id = request_id


class Auth(StrictModel):
    """The key of a client that cannot send headers; its first message where keys are required."""

    type: Literal["auth"]
    key: str = Field(max_length=200)


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
    tours: bool = Field(default=False, description="Solutions with the events that tell of them.")
    log: bool = Field(default=False, description="The log of the job `task_id`, too.")
    log_after: int = Field(
        default=0, ge=0, lt=2**31, description="The last line of the log that was seen."
    )

    @field_validator("log")
    @classmethod
    def _check_log(cls, log: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's
        if log and info.data.get("task_id") is None:
            raise PydanticCustomError("log_of_one_job", "needs a task_id: a log is that of one job")
        return log

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


class Request(StrictModel):
    """Something that is answered, under the `id` the client chose."""

    id: RequestId

    @field_validator("id", mode="plain")
    @classmethod
    def _check_id(cls, value: object) -> RequestId:
        request_id = _request_id(value)
        if request_id is None:
            raise PydanticCustomError(
                "malformed_id",
                "must be a string of at most 64 characters or an integer of at most 53 bits",
            )
        return request_id


class SubmitJob(Request):
    """A problem to solve; the events of the job follow."""

    type: Literal["submitJob"]
    solver: str | None = Field(default=None, description="Implied on a solver's own feed.")
    version: str | None = Field(default=None, description="Implied on a solver's own feed.")
    tours: bool = Field(default=False, description="As in `subscribe`, for this job.")
    log: bool = Field(default=False, description="As in `subscribe`, for this job.")
    idempotency_key: str | None = Field(
        default=None, description="Kept for 24 h: the same key and body give the same job."
    )
    body: bytes = Field(description="The submission, as it would be posted.")

    @field_validator("idempotency_key")
    @classmethod
    def _check_key(cls, key: str | None) -> str | None:
        if key is not None and not is_key(key):
            raise PydanticCustomError("malformed_key", KEY_RULE)
        return key

    @field_validator("body", mode="plain")
    @classmethod
    def _check_body(cls, value: object) -> bytes:
        if not isinstance(value, dict):
            raise PydanticCustomError("not_an_object", "must be a submission, a JSON object")
        return to_json(value)


class GetJob(Request):
    """The status of a job."""

    type: Literal["getJob"]
    task_id: UUID


class DeleteJob(Request):
    """Stop a job and keep its best solution."""

    type: Literal["deleteJob"]
    task_id: UUID


class GetQueue(Request):
    """How many of the caller's jobs wait and run, and the first that wait."""

    type: Literal["getQueue"]
    limit: int = Field(default=20, ge=0, le=200, description="Most jobs in the answer.")


class DeleteQueue(Request):
    """Cancel all of the caller's jobs that wait."""

    type: Literal["deleteQueue"]


ClientMessage: TypeAlias = Auth | Subscribe | Ping | Pong | Request

_MODELS: dict[str, type[Auth | Subscribe | Ping | Pong | Request]] = {
    "subscribe": Subscribe,
    "submitJob": SubmitJob,
    "getJob": GetJob,
    "getQueue": GetQueue,
    "deleteJob": DeleteJob,
    "deleteQueue": DeleteQueue,
    "auth": Auth,
    "ping": Ping,
    "pong": Pong,
}


def parse_message(text: str) -> ClientMessage:
    """A client's message.

    Raises `InvalidInput` with a pointer to each problem; `InvalidRequest` when the message has an
    `id` to answer under.
    """
    message = _object(text)
    try:
        return _message(text, str(message.get("type")))
    except InvalidInput as error:
        request_id = _request_id(message.get("id"))
        if request_id is None:
            raise
        raise InvalidRequest(request_id, error) from None


def _message(text: str, kind: str) -> ClientMessage:
    model = _MODELS.get(kind)
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


def _object(text: str) -> dict[str, Any]:
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
    return message


def _request_id(value: object) -> RequestId | None:
    if isinstance(value, str):
        return value if len(value) <= _MAX_ID_LENGTH else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) <= _MAX_ID else None
    return None

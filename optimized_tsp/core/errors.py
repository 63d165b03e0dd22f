"""Errors of the business: each knows its HTTP status and how to say itself (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "MAX_PROBLEMS",
    "BodyTooLarge",
    "Gone",
    "InputProblem",
    "InvalidInput",
    "NotAcceptable",
    "NotFound",
    "ServiceError",
    "ServiceUnavailable",
    "StateConflict",
    "Unauthorized",
    "Unsupported",
]

MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class InputProblem:
    """One thing that is wrong with a request, and where.

    `pointer` is an RFC 6901 JSON pointer; `code` is a stable identifier; `message` says what was
    wrong and what would be right.
    """

    pointer: str
    code: str
    message: str


class ServiceError(Exception):
    """An error the caller is told about.

    Attributes:
        status: HTTP status code.
        code: stable identifier, the last part of the problem's `type`.
        title: the same sentence for every occurrence.
        detail: what happened this time and what to do next.
        problems: what is wrong with the input, place by place.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side."

    def __init__(self, detail: str, problems: list[InputProblem] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = (problems or [])[:MAX_PROBLEMS]

    def headers(self) -> dict[str, str]:
        """Extra response headers."""
        return {}

    def extensions(self) -> dict[str, Any]:
        """Extra members of the problem document."""
        return {}


class InvalidInput(ServiceError):
    """The request cannot be understood or breaks a rule."""

    status = 422
    code = "invalid-input"
    title = "The request is not valid."


class Unauthorized(ServiceError):
    """No key, or one that is not valid."""

    status = 401
    code = "unauthorized"
    title = "A valid API key is required."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class NotFound(ServiceError):
    """There is no such thing, or it belongs to somebody else."""

    status = 404
    code = "not-found"
    title = "There is no such resource."


class Gone(ServiceError):
    """It was there, and retention has removed it.

    `oldest` is the smallest `after` that still works, where there is such a thing; `facts` are what
    is still known.
    """

    status = 410
    code = "gone"
    title = "This was removed because of its age."

    def __init__(
        self, detail: str, *, oldest: int | None = None, facts: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self._extensions = {} if oldest is None else {"oldest": oldest}
        self._extensions |= facts or {}

    def extensions(self) -> dict[str, Any]:
        return self._extensions


class StateConflict(ServiceError):
    """The resource is not in a state that allows this."""

    status = 409
    code = "state-conflict"
    title = "The resource is in a state that does not allow this."


class NotAcceptable(ServiceError):
    """None of the media types the caller accepts can be given."""

    status = 406
    code = "not-acceptable"
    title = "This cannot be shown in a form you accept."


class Unsupported(ServiceError):
    """The body is of a media type we do not read."""

    status = 415
    code = "unsupported-media-type"
    title = "The body is of a type this call does not read."


class BodyTooLarge(ServiceError):
    """The body is larger than the limit."""

    status = 413
    code = "body-too-large"
    title = "The request body is too large."

    def __init__(self, *, limit: int, size: int | None) -> None:
        sent = f"{size} bytes were announced" if size is not None else "more was sent"
        super().__init__(f"A body may have at most {limit} bytes; {sent}.")
        self.limit, self.size = limit, size

    def extensions(self) -> dict[str, Any]:
        return {"limit_bytes": self.limit, "sent_bytes": self.size}


class ServiceUnavailable(ServiceError):
    """Something we stand on does not answer."""

    status = 503
    code = "unavailable"
    title = "The service cannot do this right now."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "5"}

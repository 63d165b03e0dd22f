"""What a client is told on the websocket (docs/live-feed.md), as text ready to be sent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel
from websockets.frames import Frame, Opcode

from optimized_tsp.core.errors import InputProblem, ServiceError
from optimized_tsp.events.types import JobEvent, encode_position
from optimized_tsp.jobs.logs import LogView
from optimized_tsp.live.messages import RequestId

__all__ = [
    "PING",
    "PONG",
    "error_frame",
    "event_frame",
    "expired_frame",
    "log_frame",
    "problem_document",
    "response_frame",
    "subscribed_frame",
    "tour_frame",
    "websocket_frame",
    "with_solution",
]

PING = '{"type":"ping"}'
PONG = '{"type":"pong"}'


def websocket_frame(text: str) -> bytes:
    """The text message as it goes over the wire from server to client (RFC 6455, section 5.2)."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def event_frame(event: JobEvent) -> str:
    """The message that carries an event; made once and sent to everybody who wants it."""
    return f'{{"type":"event","event":{event.to_json().decode()}}}'


def with_solution(frame: str, solution: str) -> str:
    """An event's message with `data.solution`, which is JSON already."""
    # `data` is the last member of the event, which is the last of the message.
    head, end = frame[:-3], frame[-3:]
    comma = "" if head.endswith("{") else ","
    return f'{head}{comma}"solution":{solution}{end}'


def tour_frame(task_id: UUID, solution: str) -> str:
    """A solution that did not come with its event; `solution` is JSON already."""
    return f'{{"type":"tour","task_id":"{task_id}","solution":{solution}}}'


def log_frame(task_id: UUID, log: LogView) -> str:
    """Lines of a job's log, for who asked for them."""
    return f'{{"type":"log","task_id":"{task_id}",{log.model_dump_json()[1:]}'


def subscribed_frame(position: int) -> str:
    """The answer to a subscription: events after this cursor follow."""
    return _frame({"type": "subscribed", "cursor": encode_position(position)})


def expired_frame(oldest: int) -> str:
    """The answer to a cursor that is too old: `cursor` is the oldest that still works."""
    return _frame({"type": "expired", "cursor": encode_position(oldest)})


def response_frame(request_id: RequestId, result: BaseModel) -> str:
    """The answer to a request: the same JSON as by REST."""
    shown_id = orjson.dumps(request_id).decode()
    return f'{{"type":"response","id":{shown_id},"result":{result.model_dump_json()}}}'


def error_frame(error: ServiceError, request_id: RequestId | None = None) -> str:
    """What was wrong, with a request or else with the connection, which is closed then."""
    answered = {} if request_id is None else {"id": request_id}
    return _frame({"type": "error", **answered, "error": problem_document(error)})


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
        **error.extensions(),
        "errors": [
            {"pointer": p.pointer, "code": p.code, "message": p.message} for p in error.problems
        ],
    }


def _frame(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()

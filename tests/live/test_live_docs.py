"""The examples of docs/live-feed.md are what the code reads and writes."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import BaseModel

from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import InvalidInput, ServiceError
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.events.types import JobEvent, decode_position
from optimized_tsp.jobs.logs import LogView
from optimized_tsp.jobs.models import Solution
from optimized_tsp.jobs.queue import QueueView
from optimized_tsp.jobs.schemas import CancelledJobs, JobView
from optimized_tsp.jobs.solutions import improve, stored_solution
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.live import connection, peer, stream
from optimized_tsp.live.frames import (
    PONG,
    error_frame,
    event_frame,
    expired_frame,
    log_frame,
    response_frame,
    subscribed_frame,
    tour_frame,
    with_solution,
)
from optimized_tsp.live.messages import _MODELS, MAX_MESSAGE_BYTES, parse_message
from optimized_tsp.live.requests import MAX_IN_FLIGHT, in_body
from optimized_tsp.solvers.tsp import TspSolver

PAGE = (Path(__file__).parents[2] / "docs" / "live-feed.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json (client|server)\n(.*?)```", PAGE, re.DOTALL)


def written(message: dict[str, Any]) -> str:
    """The frame the service would send with the content of `message`."""
    match message["type"]:
        case "subscribed":
            return subscribed_frame(decode_position(message["cursor"]))
        case "expired":
            return expired_frame(decode_position(message["cursor"]))
        case "pong":
            return PONG
        case "event":
            data = dict(message["event"]["data"])
            solution = data.pop("solution", None)
            frame = event_frame(event(message["event"] | {"data": data}))
            return with_solution(frame, written_json(solution)) if solution else frame
        case "tour":
            return tour_frame(UUID(message["task_id"]), written_json(message["solution"]))
        case "log":
            log = {name: message[name] for name in LogView.model_fields}
            return log_frame(UUID(message["task_id"]), LogView.model_validate(log))
        case "response":
            return response_frame(message["id"], result(message["result"]))
        case "error" if "id" in message:
            with pytest.raises(InvalidInput) as refused:
                parse_submission(TspSolver(), b"{}", Settings())
            return error_frame(in_body(refused.value), message["id"])
        case "error":
            with pytest.raises(ServiceError) as error:
                parse_message('{"type":"subscribe","after":"0x"}')
            return error_frame(error.value)
    raise AssertionError(message)


def written_json(solution: dict[str, Any]) -> str:
    """A solution as it is stored, from one that is shown."""
    row = Solution(cost=None, lower_bound=None, first_gap=None)
    assert improve(row, solution, elapsed_s=0.1)
    return orjson.dumps(stored_solution(row)).decode()


def result(shown: dict[str, Any]) -> BaseModel:
    kind = JobView if "status" in shown else QueueView if "waiting" in shown else CancelledJobs
    return kind.model_validate(shown)


def event(shown: dict[str, Any]) -> JobEvent:
    return JobEvent(
        type=shown["type"],
        task_id=UUID(shown["task_id"]),
        solver=shown["solver"],
        version=shown["version"],
        seq=shown["seq"],
        at=datetime.fromisoformat(shown["at"]),
        position=decode_position(shown["cursor"]),
        data=shown["data"],
        tenant_id=DEFAULT_TENANT_ID,
        tags={},
    )


@pytest.mark.parametrize("text", [text for side, text in EXAMPLES if side == "client"])
def test_what_a_client_may_say(text: str) -> None:
    parse_message(text)


@pytest.mark.parametrize("text", [text for side, text in EXAMPLES if side == "server"])
def test_what_the_server_says(text: str) -> None:
    shown = orjson.loads(text)
    assert orjson.loads(written(shown)) == shown


def test_every_message_has_an_example() -> None:
    kinds = {(side, orjson.loads(text)["type"]) for side, text in EXAMPLES}
    assert kinds == {
        *(("client", kind) for kind in _MODELS if kind != "pong"),
        *(("server", kind) for kind in ("subscribed", "event", "tour", "log", "expired")),
        *(("server", kind) for kind in ("response", "error", "pong")),
    }


def test_the_close_codes_and_limits_are_those_of_the_code() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d{4}) \|", PAGE, re.MULTILINE)}
    by_protocol = {1009, 1012}
    assert codes == by_protocol | {
        connection.BAD_REQUEST,
        connection.UNAUTHORIZED,
        connection.SLOW_READER,
        connection.TRY_AGAIN_LATER,
        connection.INTERNAL_ERROR,
    }
    words = " ".join(PAGE.split())
    for promise in (
        f"within {connection.AUTH_S:g} seconds",
        f"every {connection.PING_INTERVAL_S:g} seconds",
        f"takes nothing for {peer.STALLED_S:g} seconds",
        f"at most {stream.MAX_FOLLOWED:,} jobs",
        f"{MAX_IN_FLIGHT} at a time",
        f"at most {MAX_MESSAGE_BYTES // 1024} KiB",
    ):
        assert promise in words, promise

"""The examples of docs/live-feed.md are what the code reads and writes."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from optimized_tsp.core.errors import ServiceError
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.events.types import JobEvent, decode_position
from optimized_tsp.live.frames import (
    PONG,
    error_frame,
    event_frame,
    expired_frame,
    subscribed_frame,
)
from optimized_tsp.live.messages import parse_message

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
            return event_frame(event(message["event"]))
        case "error":
            with pytest.raises(ServiceError) as error:
                parse_message('{"type":"subscribe","after":"0x"}')
            return error_frame(error.value)
    raise AssertionError(message)


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
        ("client", "subscribe"),
        ("client", "ping"),
        *(("server", kind) for kind in ("subscribed", "event", "expired", "pong", "error")),
    }

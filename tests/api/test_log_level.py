"""OPTIMIZED_TSP_LOG_LEVEL: what is written, by the API and by workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from optimized_tsp.core.config import Settings
from tests.api.conftest import JOBS, TRIANGLE
from tests.conftest import StartStack
from tests.live.conftest import until
from tests.stack import RunningStack


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


async def solve(stack: RunningStack) -> None:
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=60) as client:
        job = await client.post(JOBS, json=TRIANGLE, headers={"Prefer": "wait=60"})
    assert job.json()["status"] == "Completed"


async def visit_feed(stack: RunningStack) -> None:
    async with connect(stack.base_url.replace("http", "ws") + "/live", proxy=None) as feed:
        await feed.send('{"type":"subscribe"}')
        await feed.recv()


async def test_below_warning_nothing_is_said(start_stack: StartStack) -> None:
    stack = start_stack(log_format="json", log_level="warning")
    await solve(stack)
    await visit_feed(stack)
    stack.stop()
    for log in ("api.log", "worker-1.log"):
        assert {line["level"] for line in lines(stack.folder / log)} <= {"warning"}


async def test_debug_says_more_but_nothing_of_what_libraries_see(start_stack: StartStack) -> None:
    stack = start_stack(workers=0, log_format="json", log_level="debug")
    await visit_feed(stack)
    log = stack.folder / "api.log"
    await until(lambda: "feed_closed" in log.read_text())
    stack.stop()

    said = [line for line in lines(log) if line["level"] == "debug"]
    assert {line["event"] for line in said} == {"request", "feed_closed"}
    assert {line["path"] for line in said if line["event"] == "request"} == {"/readyz"}
    assert all(line["logger"].startswith("optimized_tsp.") for line in said)
    [left] = [line for line in said if line["event"] == "feed_closed"]
    assert left["sent_away"] is None
    assert left["request_id"]


async def test_a_client_we_send_away_and_one_we_refuse_are_news(start_stack: StartStack) -> None:
    stack = start_stack(workers=0, log_format="json", auth="required")
    url = stack.base_url.replace("http", "ws")
    async with connect(f"{url}/live", proxy=None) as feed:
        await feed.send('{"type":"auth","key":"otsp_wrong"}')
        await feed.wait_closed()
    async with httpx.AsyncClient(timeout=60) as client:
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        await client.get(f"{stack.base_url}/nobody_solver/v1/live", headers=handshake)
    stack.stop()

    said = lines(stack.folder / "api.log")
    [closed] = [line for line in said if line["event"] == "feed_closed"]
    assert (closed["sent_away"], closed["level"]) == (4401, "info")
    [refused] = [line for line in said if line["event"] == "feed_refused"]
    assert (refused["status"], refused["code"], refused["level"]) == (404, "not-found", "info")
    assert refused["path"] == "/nobody_solver/v1/live"
    # and uvicorn's own lines about connections are not there
    assert not any("WebSocket" in line["event"] or "connection" in line["event"] for line in said)


def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIMIZED_TSP_LOG_LEVEL", "loud")
    with pytest.raises(ValueError, match="log_level"):
        Settings()

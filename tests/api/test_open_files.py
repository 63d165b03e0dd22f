"""More clients than a shell's limit of open files, and what happens where the limit is reached."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import psutil

from tests.conftest import StartStack
from tests.live.conftest import until
from tests.stack import RunningStack

USUAL_SOFT_LIMIT = 1024
CLIENTS = 1150
SMALL_LIMIT = 200
DEADLINE_S = 60.0
HANDSHAKE = (
    "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@contextmanager
def soft_limit(files: int) -> Iterator[None]:
    """This process, and what it starts meanwhile, may have so many files open, by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def many(clients: int, port: int) -> AsyncIterator[list[bytes]]:
    """Websocket handshakes, one after the other; gives the first line of each answer."""
    writers, answers = [], []
    try:
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(clients):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writers.append(writer)
                writer.write(HANDSHAKE.encode())
                answers.append((await reader.readline()).rstrip())
        yield answers
    finally:
        for writer in writers:
            writer.transport.abort()


def said(stack: RunningStack) -> list[dict[str, Any]]:
    """What the API has logged until now; every line is JSON."""
    return [json.loads(line) for line in (stack.folder / "api.log").read_text().splitlines()]


async def test_more_clients_than_the_usual_limit_of_open_files(start_stack: StartStack) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with soft_limit(USUAL_SOFT_LIMIT):
        stack = start_stack(workers=0, log_format="json")

    with soft_limit(hard):
        async with (
            many(CLIENTS, stack.port) as answers,
            httpx.AsyncClient(base_url=stack.base_url, timeout=DEADLINE_S) as http,
        ):
            ready = await http.get("/readyz")
            numbers = (await http.get("/metrics")).text
    stack.stop()

    assert set(answers) == {b"HTTP/1.1 101 Switching Protocols"}
    assert ready.status_code == 200
    assert f"optimized_tsp_feed_clients {CLIENTS:.1f}" in numbers
    [raised] = [line for line in said(stack) if line["event"] == "open_files"]
    assert (raised["before"], raised["limit"]) == (USUAL_SOFT_LIMIT, min(hard, 2**20))
    # That clients came and went is no news
    assert len(said(stack)) < 20


async def test_where_the_limit_is_reached_clients_are_refused_and_everything_else_goes_on(
    start_stack: StartStack,
) -> None:
    stack = start_stack(workers=0, log_format="json")
    psutil.Process(stack.api.pid).rlimit(psutil.RLIMIT_NOFILE, (SMALL_LIMIT, SMALL_LIMIT))

    async with many(SMALL_LIMIT, stack.port) as answers:
        # As many as there is room for, then none
        connected = answers.index(b"HTTP/1.1 503 Service Unavailable")
        assert set(answers[:connected]) == {b"HTTP/1.1 101 Switching Protocols"}
        assert set(answers[connected:]) == {b"HTTP/1.1 503 Service Unavailable"}
        async with httpx.AsyncClient(base_url=stack.base_url, timeout=DEADLINE_S) as http:
            assert (await http.get("/readyz")).status_code == 200
    refused = [line for line in said(stack) if line["event"] == "feed_refused"]
    assert len(refused) == SMALL_LIMIT - connected
    assert (refused[0]["code"], refused[0]["level"]) == ("feed-full", "warning")


async def test_that_nothing_can_be_opened_any_more_is_said(start_stack: StartStack) -> None:
    stack = start_stack(workers=0, log_format="json")
    psutil.Process(stack.api.pid).rlimit(psutil.RLIMIT_NOFILE, (SMALL_LIMIT, SMALL_LIMIT))
    # Connections that send nothing: they cannot be told from requests that are on their way
    silent = [await asyncio.open_connection("127.0.0.1", stack.port) for _ in range(SMALL_LIMIT)]

    await until(lambda: "no_open_files_left" in (stack.folder / "api.log").read_text())
    [line] = [line for line in said(stack) if line["event"] == "no_open_files_left"]
    assert (line["level"], line["limit"]) == ("error", SMALL_LIMIT)

    # And it serves again once they have gone
    for _, writer in silent:
        writer.transport.abort()
    await asyncio.to_thread(stack.api.wait_ready, timeout_s=DEADLINE_S)

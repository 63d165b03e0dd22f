"""The whole way: registered and submitted by REST, delivered by a real worker."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import orjson
import pytest
from standardwebhooks import Webhook

from optimized_tsp.events.types import EventType
from tests.conftest import StartStack
from tests.crowding import crowding
from tests.stack import READY_TIMEOUT_S, RunningStack, Servers
from tests.webhooks import receiver as strangers
from tests.webhooks.receiver import Receiver, answer, receiver

JOBS = "/tsp_solver/v1/jobs"
TRIVIAL = {"tsp_instance": {"matrix": [[None, 1, 9], [9, None, 2], [3, 9, None]]}}
KEY = "only-for-tests-" * 3
FIRST_ATTEMPT_S = 2.0


@pytest.fixture
def stack(start_stack: StartStack) -> RunningStack:
    """A service whose webhooks may stay on this machine."""
    return start_stack(
        webhook_key=KEY, webhook_allow_http="true", webhook_allowed_networks="127.0.0.0/8"
    )


@pytest.fixture
async def client(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=30) as client:
        yield client


async def register(client: httpx.AsyncClient, url: str) -> Any:
    """An endpoint for every event."""
    kinds = [kind.value for kind in EventType]
    answered = await client.post("/webhooks", json={"url": url, "event_types": kinds})
    assert answered.status_code == 201, answered.text
    return answered.json()


async def submit(client: httpx.AsyncClient, **more: str) -> str:
    answered = await client.post(JOBS, json=TRIVIAL | more)
    assert answered.status_code == 202, answered.text
    return str(answered.json()["task_id"])


def ends(stranger: Receiver) -> set[str]:
    """Jobs of which the end was received."""
    events = [orjson.loads(request.body)["data"] for request in stranger.received]
    return {event["task_id"] for event in events if event["type"] == "job.completed"}


def waits_s(stranger: Receiver) -> list[float]:
    """From each event (a little before its commit) to its arrival."""
    now, monotonic = time.time(), time.monotonic()
    return [
        request.at - monotonic + now
        - datetime.fromisoformat(orjson.loads(request.body)["timestamp"]).timestamp()
        for request in stranger.received
    ]  # fmt: skip


async def test_every_event_of_every_job_arrives_within_two_seconds_beside_a_dead_endpoint(
    stack: RunningStack, client: httpx.AsyncClient
) -> None:
    begun = time.monotonic()
    async with receiver(answer()) as good, receiver(strangers.hang) as dead:
        endpoint = await register(client, good.url())
        await register(client, dead.url())
        jobs = [await submit(client) for _ in range(25)]
        await good.until(lambda good: ends(good) == set(jobs), within_s=60)
        path = f"/webhooks/{endpoint['id']}/deliveries"
        [delivery, *_] = (await client.get(path)).json()

    verify = Webhook(endpoint["secret"]).verify
    events = [verify(request.body, request.headers)["data"] for request in good.received]
    for job in jobs:
        numbers = sorted(event["seq"] for event in events if event["task_id"] == job)
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 3
    assert statistics.quantiles(waits_s(good), n=100)[98] <= FIRST_ATTEMPT_S * crowding(begun)
    assert delivery["id"] in good.ids
    for hidden in (endpoint["secret"], endpoint["secret"].removeprefix("whsec_"), KEY, "v1,"):
        assert hidden not in stack.logs()


async def test_without_redis_webhooks_arrive_too(
    client: httpx.AsyncClient, servers: Servers
) -> None:
    valkey, begun = servers._embedded.valkey, time.monotonic()
    async with receiver(answer()) as stranger:
        await register(client, stranger.url())
        valkey.kill()
        try:
            jobs = {await submit(client) for _ in range(3)}
            await stranger.until(lambda stranger: ends(stranger) == jobs, within_s=30)
        finally:
            valkey.start()
            await asyncio.to_thread(valkey.wait_ready, timeout_s=READY_TIMEOUT_S)

    assert max(waits_s(stranger)) <= FIRST_ATTEMPT_S * crowding(begun)


async def test_a_worker_that_is_asked_to_stop_gives_its_webhooks_back(
    stack: RunningStack, client: httpx.AsyncClient
) -> None:
    async with receiver(strangers.hang) as stranger:
        await register(client, stranger.url())
        await submit(client)
        await stranger.until(lambda stranger: stranger.received)
        [worker] = stack.workers
        worker.send(signal.SIGTERM)
        await asyncio.to_thread(_wait_ended, stack)
        stranger.behaviour = answer()
        first = stranger.ids[0]
        stack.start_worker()
        # Sooner than its lease of half a minute would have run out.
        await stranger.until(lambda stranger: stranger.ids.count(first) >= 2)

    assert worker.ending() == "ended with exit status 0"


def _wait_ended(stack: RunningStack) -> None:
    deadline = time.monotonic() + 10
    while stack.workers[0].is_running() and time.monotonic() < deadline:
        time.sleep(0.01)

"""A job's events over HTTP: pages, and a stream that ends with the job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from optimized_tsp.jobs import answers, leases, outcomes
from optimized_tsp.jobs.answers import Answer
from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.jobs.services import Services
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from tests.api.conftest import JOBS, TRIANGLE

OPTIMAL = Answer(
    SolutionStatus.OPTIMAL,
    StopReason.PROVEN,
    {"node_order": [0, 1, 2], "cost": 6},
    6,
    None,
    None,
    0.1,
)
ALL = ["job.submitted", "job.started", "job.incumbent", "job.completed"]


@pytest.fixture
async def job_url(client: httpx.AsyncClient) -> str:
    return f"{JOBS}/{(await client.post(JOBS, json=TRIANGLE)).json()['task_id']}"


async def run_job(app: FastAPI) -> None:
    services: Services = app.state.services
    claim = await leases.claim_next(services.database, worker="test", lease_s=15)
    assert claim is not None
    worse = {"node_order": [0, 2, 1], "cost": 27}
    async with services.database.write() as session:
        await outcomes.save_progress(session, claim, Progress(worse, 3, 0.05))
    async with services.database.write() as session:
        await answers.finish(session, claim, OPTIMAL)
    services.bus.announce(claim.job_id)


async def stream(client: httpx.AsyncClient, url: str, **headers: str) -> AsyncIterator[Any]:
    accept = {"accept": "text/event-stream"} | headers
    async with client.stream("GET", f"{url}/events", headers=accept) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                yield orjson.loads(line.removeprefix("data: "))


async def read_all(client: httpx.AsyncClient, url: str) -> list[str]:
    return [event["type"] async for event in stream(client, url)]


async def test_pages_meet_without_gap_or_repeat(
    client: httpx.AsyncClient, app: FastAPI, job_url: str
) -> None:
    await run_job(app)

    seen: list[Any] = []
    url: str | None = f"{job_url}/events?limit=3"
    while url is not None:
        page = await client.get(url)
        seen += page.json()
        url = page.links["next"]["url"] if "next" in page.links else None

    assert [event["type"] for event in seen] == ALL
    assert [event["seq"] for event in seen] == [1, 2, 3, 4]
    assert seen[-1]["data"]["cost"] == 6


async def test_a_stream_tells_what_happened_and_ends_with_the_job(
    client: httpx.AsyncClient, app: FastAPI, job_url: str
) -> None:
    reading = asyncio.create_task(read_all(client, job_url))
    await run_job(app)

    assert await asyncio.wait_for(reading, 10) == ALL


async def test_a_stream_resumes_after_the_last_event_seen(
    client: httpx.AsyncClient, app: FastAPI, job_url: str
) -> None:
    await run_job(app)
    resumed = [event async for event in stream(client, job_url, **{"last-event-id": "2"})]
    assert [event["type"] for event in resumed] == ALL[2:]


async def test_who_has_seen_the_end_is_told_not_to_come_back(
    client: httpx.AsyncClient, app: FastAPI, job_url: str
) -> None:
    await run_job(app)
    headers = {"accept": "text/event-stream", "last-event-id": "4"}

    response = await asyncio.wait_for(client.get(f"{job_url}/events", headers=headers), 10)

    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("seq", ["x", "-1", "1.5", "9" * 30, "9" * 5000, ""])
async def test_a_malformed_position_is_refused(
    client: httpx.AsyncClient, job_url: str, seq: str
) -> None:
    headers = {"accept": "text/event-stream", "last-event-id": seq}
    assert (await client.get(f"{job_url}/events", headers=headers)).status_code == 422
    assert (await client.get(f"{job_url}/events?after={seq}")).status_code == 422

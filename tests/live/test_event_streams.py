"""A job's events as a stream over HTTP: what is not heard of comes a little later, not never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import orjson
import pytest
from sqlalchemy import select

from optimized_tsp.embedded.identity import free_port
from optimized_tsp.jobs.models import Job
from tests.live.conftest import DEADLINE_S, SUBMISSION, Jobs, Server, StartServer, until
from tests.live.test_delivery import refuse_connections
from tests.promises import promised
from tests.stack import Servers, TestDatabase

Said = Callable[[], str]


@asynccontextmanager
async def streaming(server: Server, job_id: UUID) -> AsyncIterator[AsyncIterator[int]]:
    """The `seq` of each event of the job."""
    url = f"http://127.0.0.1:{server.port}/tsp_solver/v1/jobs/{job_id}/events"
    headers = {"accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(timeout=DEADLINE_S) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        lines = response.aiter_lines()
        yield (
            orjson.loads(line.removeprefix("data: "))["seq"]
            async for line in lines
            if line.startswith("data: ")
        )


@pytest.fixture(params=["redis", "no redis"])
def server_with_or_without(request: pytest.FixtureRequest, start_server: StartServer) -> Server:
    if request.param == "redis":
        return start_server()
    return start_server(redis_url=f"redis://127.0.0.1:{free_port()}/0")


async def test_an_event_nobody_told_of_comes_within_five_seconds(
    server_with_or_without: Server, jobs: Jobs
) -> None:
    job_id = await jobs.submit()
    async with streaming(server_with_or_without, job_id) as seqs:
        assert await anext(seqs) == 1
        for seq in (2, 3):
            with promised(5):
                async with jobs.database.write() as session:
                    await jobs.happen_in(session, job_id)
                assert await anext(seqs) == seq


async def test_who_waits_outlives_a_database_that_is_away(
    server: Server, jobs: Jobs, servers: Servers, database: TestDatabase, said: Said
) -> None:
    job_id = await jobs.submit()
    url = f"http://127.0.0.1:{server.port}/tsp_solver/v1/jobs"
    async with streaming(server, job_id) as seqs, httpx.AsyncClient(timeout=DEADLINE_S) as client:
        assert await anext(seqs) == 1
        # Given a stream, and somebody who waits for a job that is stored
        wait = {"prefer": "wait=20"}
        waiting = asyncio.create_task(client.post(url, json=SUBMISSION, headers=wait))
        other = await stored_beside(jobs, job_id)
        # When both are woken while the database is away
        refuse_connections(servers, database)
        for woken in (job_id, other):
            jobs.bus.announce(woken)
        await until(lambda: "waiters_cannot_look" in said())
        servers.run_sql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        # Then both get what happens once it is back
        await jobs.happen(job_id)
        assert await anext(seqs) == 2
        await jobs.improve(other, cost=2)
        await jobs.finish(other)
        answer = await waiting
    assert (answer.status_code, answer.json()["task_id"]) == (200, str(other))
    assert "unexpected_error" not in said()


async def stored_beside(jobs: Jobs, job_id: UUID) -> UUID:
    """The id of the one other job, once it is stored."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with jobs.database.read() as session:
                other: UUID | None = await session.scalar(select(Job.id).where(Job.id != job_id))
            if other is not None:
                return other
            await asyncio.sleep(0.01)

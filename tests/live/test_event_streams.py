"""A job's events as a stream over HTTP: what is not heard of comes a little later, not never."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import orjson
import pytest

from optimized_tsp.embedded.identity import free_port
from tests.live.conftest import DEADLINE_S, Jobs, Server, StartServer
from tests.promises import promised


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

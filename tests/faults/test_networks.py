"""What networks do to connections, done to those of a service at work, with Postgres and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from optimized_tsp.core.tasks import end_tasks
from optimized_tsp.jobs.states import JobStatus
from tests.faults.cluster import LEASE_S, Cluster
from tests.faults.proxy import FaultProxy
from tests.faults.stories import Stories, Story
from tests.faults.traffic import ODD_PATH, Traffic, Watcher, odd, types_seen
from tests.promises import promised

pytestmark = pytest.mark.asyncio(loop_scope="package")

SERVED_S = 10.0
HOLE_S = 2.0


@asynccontextmanager
async def latency(proxy: FaultProxy) -> AsyncIterator[None]:
    """Every word takes 50 ms there, and 50 ms back."""
    proxy.latency_s = 0.05
    try:
        yield
    finally:
        proxy.calm()


@asynccontextmanager
async def drip(proxy: FaultProxy) -> AsyncIterator[None]:
    """Words come 200 bytes at a time, fifty times a second."""
    proxy.drip_bytes = 200
    try:
        yield
    finally:
        proxy.calm()


@asynccontextmanager
async def black_hole(proxy: FaultProxy) -> AsyncIterator[None]:
    """Nothing arrives for two seconds, then all of it."""
    proxy.swallow(on=True)
    loop = asyncio.get_running_loop()
    away = loop.call_later(HOLE_S, lambda: loop.run_in_executor(None, proxy.calm))
    try:
        yield
    finally:
        away.cancel()
        proxy.calm()


@asynccontextmanager
async def half_open(proxy: FaultProxy) -> AsyncIterator[None]:
    """The server has forgotten all connections there are."""
    assert proxy.half_open() > 0
    yield


@asynccontextmanager
async def forgotten(proxy: FaultProxy) -> AsyncIterator[None]:
    """A firewall has forgotten all connections there are; the server does not know, either."""
    assert proxy.half_open(server_is_told=False) > 0
    yield


@asynccontextmanager
async def resets(proxy: FaultProxy) -> AsyncIterator[None]:
    """All connections there are have been reset."""
    assert proxy.reset_all() > 0
    yield


NETWORKS = (latency, drip, black_hole, half_open, forgotten, resets)


@pytest.mark.parametrize("server", ["postgres", "redis"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
async def test_jobs_are_submitted_followed_and_finished_whatever_the_network_does(
    cluster: Cluster,
    traffic: Traffic,
    http: httpx.AsyncClient,
    stories: Stories,
    tmp_path: Path,
    network: Callable[[FaultProxy], AbstractAsyncContextManager[None]],
    server: str,
) -> None:
    proxy = cluster.postgres_proxy if server == "postgres" else cluster.redis_proxy
    gate, before = tmp_path / "gate", await stories.cursor()
    running = await traffic.submit(http, odd("prove", gate=gate), ODD_PATH)
    await stories.until(running, lambda story: "incumbent" in story.types)

    async with following(cluster, before) as watcher, network(proxy):
        others = [await traffic.submit(http, odd("prove"), ODD_PATH) for _ in range(3)]
        gate.touch()
        for job in (running, *others):
            await traffic.until_ended(http, ODD_PATH, job)
            story = await stories.tell(job)
            assert as_if_nothing_had_happened(story)
            async with asyncio.timeout(30):
                while types_seen(watcher, job) != story.types:  # noqa: ASYNC110 - another's events
                    await asyncio.sleep(0.02)


async def test_postgres_connections_lost_in_the_middle_of_a_run_cost_no_lease(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = await traffic.submit(http, odd("prove", gate=gate), ODD_PATH)
    await stories.until(job, lambda story: "incumbent" in story.types)

    for server_is_told in (True, False):
        last = lease_end(await stories.tell(job))
        assert cluster.postgres_proxy.half_open(server_is_told=server_is_told) > 0
        with promised(SERVED_S):
            urls = [f"{url}{ODD_PATH}/{job}" for url in cluster.urls for _ in range(20)]
            answers = await asyncio.gather(*(http.get(url) for url in urls))
        assert {answer.status_code for answer in answers} <= {200, 503}
        await outlives(stories, job, last)
    gate.touch()

    assert as_if_nothing_had_happened(await stories.until_ended(job))


@asynccontextmanager
async def following(cluster: Cluster, after: str) -> AsyncIterator[Watcher]:
    """A client of the feed, for as long as the block lasts."""
    watcher = Watcher(cluster, 0, after)
    watching = asyncio.create_task(watcher.watch(lambda _: False))
    try:
        yield watcher
    finally:
        await end_tasks([watching])


def as_if_nothing_had_happened(story: Story) -> bool:
    """Whether the job was run once, to its end."""
    job = story.job
    return (story.status, job.attempt, job.crashes) == (JobStatus.COMPLETED, 1, 0)


async def outlives(stories: Stories, job: str, end: datetime) -> None:
    """The run goes on after the lease that it had until then has run out."""
    await stories.until(job, lambda story: lease_end(story) > end + timedelta(seconds=LEASE_S))


def lease_end(story: Story) -> datetime:
    """Until when the job's run may go on without renewing."""
    assert story.job.lease_until is not None, (story.status, story.types)
    return story.job.lease_until

"""What is lost on the way to or from a COMMIT, or between it and the ring: nothing, and once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from redis import Redis

from optimized_tsp.events.bus import RING_KEY, ring_message
from optimized_tsp.jobs.states import JobStatus
from tests.faults.cluster import Cluster
from tests.faults.stories import Stories
from tests.faults.traffic import ODD_PATH, Traffic, Watcher, odd, types_seen

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_submission_whose_commit_is_cut_off_makes_one_job_when_it_is_repeated(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories, moment: str
) -> None:
    await stories.until_ended(await traffic.submit(http, odd("prove"), ODD_PATH))
    before, cut = await stories.count(), cluster.postgres_proxy.commits_reset["tsp api", moment]

    for _ in range(10):
        cluster.postgres_proxy.reset_next_commit(moment, of="tsp api")
        await traffic.submit(http, odd("prove"), ODD_PATH)

    assert cluster.postgres_proxy.commits_reset["tsp api", moment] == cut + 10
    assert await stories.count() == before + 10
    for job in traffic.accepted:
        assert (await stories.until_ended(job)).status is JobStatus.COMPLETED


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_worker_whose_commits_are_cut_off_ends_each_job_once(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories, moment: str
) -> None:
    proxy = cluster.postgres_proxy
    cut = proxy.commits_reset["tsp worker", moment]

    for round_ in range(10):
        proxy.reset_next_commit(moment, of="tsp worker")
        job = await traffic.submit(http, odd("prove"), ODD_PATH)
        story = await stories.until_ended(job)
        assert proxy.commits_reset["tsp worker", moment] == cut + round_ + 1
        assert story.status is JobStatus.COMPLETED
        assert story.types.count("completed") == 1
        assert story.types[-1] == "completed"


async def test_an_api_killed_between_commit_and_ring_loses_neither_the_job_nor_its_events(
    cluster: Cluster, http: httpx.AsyncClient, stories: Stories
) -> None:
    watcher = Watcher(cluster, 0, cursor="0")
    before = await stories.count()
    cluster.failpoint.touch()

    with pytest.raises(httpx.TransportError):
        await http.post(f"{cluster.urls[0]}{ODD_PATH}", json=odd("prove"))
    await cluster.restart(cluster.apis[0])

    assert not cluster.failpoint.exists()
    assert await stories.count() == before + 1
    [newest] = (await http.get(f"{cluster.urls[0]}{ODD_PATH}?limit=1")).json()
    story = await stories.until_ended(newest["task_id"])
    assert (story.status, story.job.attempt) == (JobStatus.COMPLETED, 1)
    async with asyncio.timeout(15):
        await watcher.watch(lambda w: types_seen(w, newest["task_id"]) == story.types)


async def test_the_same_ring_ten_times_runs_a_job_once(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = await traffic.submit(http, odd("prove", gate=gate), ODD_PATH)
    await stories.until(job, lambda story: "incumbent" in story.types)

    with Redis.from_url(cluster.servers.identity.redis_url) as redis:
        redis.lpush(RING_KEY, *[ring_message()] * 10)
    gate.touch()

    story = await stories.until_ended(job)
    assert (story.job.attempt, story.types.count("started")) == (1, 1)

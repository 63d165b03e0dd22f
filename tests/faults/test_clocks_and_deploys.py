"""Clocks that are wrong, processes that are killed or replaced, solvers that eat memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from optimized_tsp.embedded.process import Process
from optimized_tsp.embedded.service import worker_process
from optimized_tsp.jobs.states import JobStatus
from tests.faults.cluster import LEASE_S, Cluster
from tests.faults.faults import kill_api
from tests.faults.memory import MemoryGuard
from tests.faults.stories import Stories
from tests.faults.traffic import ODD_PATH, Traffic, Watcher, completed, odd, types_seen

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_worker_whose_clock_is_ten_minutes_fast_neither_loses_nor_steals_jobs(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    others = [await traffic.submit(http, odd("prove", gate=gate), ODD_PATH) for _ in range(2)]
    for job in others:
        await stories.until(job, lambda story: "incumbent" in story.types)
    env = cluster.environment() | cluster.clock_ahead(600)
    fast = worker_process(env, cluster.folder / "fast-worker.log", number=9)
    fast.start()
    mine = await traffic.submit(http, odd("prove", gate=gate), ODD_PATH)
    await stories.until(mine, lambda story: "incumbent" in story.types)

    await asyncio.sleep(1.5 * LEASE_S)  # long enough for who goes by a wrong clock
    gate.touch()

    for job in (*others, mine):
        story = await stories.until_ended(job)
        assert (story.status, story.job.attempt, story.job.crashes) == (JobStatus.COMPLETED, 1, 0)
    fast.ask_to_stop()
    async with asyncio.timeout(15):
        while fast.is_running():  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(0.02)


async def test_an_api_killed_under_requests_and_live_sockets_loses_nothing(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = await traffic.submit(http, odd("prove", gate=gate), ODD_PATH)
    story = await stories.until(job, lambda story: "incumbent" in story.types, within_s=90)
    watcher = Watcher(cluster, 0)  # on the first API
    async with asyncio.TaskGroup() as group:
        group.create_task(watcher.watch(lambda w: types_seen(w, job)[-1:] == ["completed"]))
        async with asyncio.timeout(15):
            while types_seen(watcher, job) != story.types:  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(0.02)

        submitting = [
            group.create_task(traffic.submit(http, odd("prove"), ODD_PATH)) for _ in range(10)
        ]
        assert await kill_api(cluster, traffic.random, victim=0)
        await asyncio.gather(*submitting)
        gate.touch()

    story = await stories.until_ended(job)
    assert types_seen(watcher, job) == story.types
    assert watcher.connections > 1
    assert len(set(traffic.accepted)) == 11
    for accepted in traffic.accepted:
        assert (await stories.until_ended(accepted)).status is JobStatus.COMPLETED


async def test_replacing_all_workers_under_load_fails_no_request_and_costs_no_attempt(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories
) -> None:
    replacing = asyncio.create_task(_replace(cluster, cluster.workers))
    while not replacing.done():
        answer = await http.post(f"{cluster.urls[0]}{ODD_PATH}", json=odd("prove"))
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        traffic.accepted.append(answer.json()["task_id"])
    await replacing

    assert len(traffic.accepted) > 2 * len(cluster.workers)
    for job in traffic.accepted:
        story = await stories.until_ended(job, within_s=60)
        assert (story.status, story.job.attempt) == (JobStatus.COMPLETED, 1)


async def test_replacing_all_apis_under_load_fails_no_request_and_costs_no_attempt(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    watcher = Watcher(cluster, 0)
    each_anew = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0), timeout=30)
    async with each_anew as clients, asyncio.TaskGroup() as group:
        patient = group.create_task(_submit_and_wait(cluster, http, odd("prove", gate=gate)))
        await _until_running(cluster, http)
        replacing = group.create_task(_replace(cluster, cluster.apis))
        for number in range(3):
            group.create_task(_submit_while(replacing, clients, traffic, number))

    told = patient.result()  # not broken off, and before its time
    assert (told.status_code, told.json()["status"]) == (httpx.codes.ACCEPTED, JobStatus.RUNNING)
    gate.touch()
    traffic.accepted.append(told.json()["task_id"])
    assert len(traffic.accepted) > 2 * len(cluster.apis)
    async with asyncio.timeout(90):
        for job in traffic.accepted:
            story = await stories.until_ended(job, within_s=60)
            assert (story.status, story.job.attempt) == (JobStatus.COMPLETED, 1)
        await watcher.watch(lambda w: completed(w) >= set(traffic.accepted))


async def test_a_solver_that_eats_memory_until_it_is_killed_costs_nobody_else_anything(
    cluster: Cluster, traffic: Traffic, http: httpx.AsyncClient, stories: Stories
) -> None:
    greedy = await traffic.submit(http, odd("eat_memory"), ODD_PATH)
    guard = MemoryGuard(cluster)
    guarding = asyncio.create_task(guard.watch())
    others = [await traffic.submit(http, odd("prove"), ODD_PATH) for _ in range(5)]

    for job in others:
        story = await stories.until_ended(job)
        assert (story.status, story.job.attempt) == (JobStatus.COMPLETED, 1)
    story = await stories.until_ended(greedy, within_s=60)
    guarding.cancel()
    assert len(guard.killed) == 3
    assert (story.status, story.job.crashes) == (JobStatus.FAILED, 3)
    assert story.job.error is not None
    assert "3 crashes" in story.job.error


async def _replace(cluster: Cluster, processes: list[Process]) -> None:
    for process in processes:
        await cluster.replace(process)


async def _submit_and_wait(
    cluster: Cluster, http: httpx.AsyncClient, body: dict[str, Any]
) -> httpx.Response:
    headers = {"Prefer": "wait=60"}
    return await http.post(f"{cluster.urls[0]}{ODD_PATH}", json=body, headers=headers, timeout=60)


async def _until_running(cluster: Cluster, http: httpx.AsyncClient) -> None:
    """Wait until the newest job runs."""
    async with asyncio.timeout(90):
        while True:
            newest = (await http.get(f"{cluster.urls[1]}{ODD_PATH}?limit=1")).json()
            if newest and newest[0]["status"] == JobStatus.RUNNING:
                return
            await asyncio.sleep(0.05)


async def _submit_while(
    replacing: asyncio.Task[None], clients: httpx.AsyncClient, traffic: Traffic, number: int
) -> None:
    """Submit through whichever API takes the connection, as a load balancer would."""
    while not replacing.done():
        key = {"Idempotency-Key": str(uuid4())}
        untouched_until = datetime.now(UTC)
        for url in traffic.cluster.urls[number % 2 :] + traffic.cluster.urls[: number % 2]:
            try:
                answer = await clients.post(f"{url}{ODD_PATH}", json=odd("prove"), headers=key)
            except httpx.ConnectError:
                continue
            except httpx.ReadError:  # the kernel had connected us, and no process had taken it
                untouched_until = datetime.now(UTC)
                continue
            assert answer.status_code == httpx.codes.ACCEPTED, answer.text
            # What a process takes it answers: nothing came of an attempt that was broken off.
            assert datetime.fromisoformat(answer.json()["submitted_at"]) >= untouched_until
            traffic.accepted.append(answer.json()["task_id"])
            break

"""Redis or Postgres away: slower for as long as it lasts, nothing lost, nothing done twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis import Redis

from optimized_tsp.embedded.process import Process
from optimized_tsp.jobs.states import JobStatus
from tests.stack import RunningStack, TestDatabase
from tests.worker.conftest import Submit, Until, restart

pytestmark = pytest.mark.usefixtures("standing_fleet")


@pytest.fixture(scope="module")
def database(standing_database: TestDatabase) -> TestDatabase:
    """One for all tests here."""
    return standing_database


async def test_a_lost_ring_is_rung_again(submit: Submit, until_ended: Until) -> None:
    job = await submit("prove", ring=False)

    assert (await until_ended(job, within_s=5)).job.attempt == 1


async def test_flushing_redis_while_a_job_runs_and_others_wait_loses_nothing(
    submit: Submit,
    until: Until,
    until_ended: Until,
    redis_url: str,
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    running = await submit("prove", gate=gate)
    await until(running, lambda story: story.cost is not None)
    waiting = [await submit("prove") for _ in range(3)]

    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    gate.touch()

    for job in (running, *waiting):
        story = await until_ended(job)
        assert (story.status, story.job.attempt) == (JobStatus.COMPLETED, 1)


async def test_without_redis_jobs_are_taken_run_and_cancelled(
    submit: Submit,
    until: Until,
    until_ended: Until,
    cancel: Until,
    valkey: Process,
) -> None:
    valkey.kill()

    solved = await until_ended(await submit("prove"), within_s=5)
    long = await submit("polite")
    await until(long, lambda story: story.cost is not None)
    await cancel(long)
    cancelled = await until_ended(long, within_s=3)

    assert solved.status is JobStatus.COMPLETED
    assert cancelled.status is JobStatus.CANCELLED


async def test_postgres_restarting_does_not_stop_a_solve(
    submit: Submit,
    until: Until,
    until_ended: Until,
    postgres: Process,
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    job = await submit("prove", gate=gate)
    await until(job, lambda story: story.cost == 5)

    postgres.kill()
    gate.touch()  # the answer comes while nobody can store it
    restart(postgres)
    story = await until_ended(job)

    assert story.status is JobStatus.COMPLETED
    assert (story.job.attempt, story.job.crashes, story.cost) == (1, 0, 5)
    assert (story.solution and story.solution.lower_bound) == 5


async def test_an_outage_longer_than_the_lease_costs_no_run_either(
    standing_fleet: RunningStack,
    submit: Submit,
    until: Until,
    until_ended: Until,
    postgres: Process,
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    job = await submit("prove", gate=gate)
    await until(job, lambda story: story.cost == 5)

    postgres.kill()
    lease_s = 3.0
    await asyncio.sleep(lease_s + 1)  # the one thing that takes as long as it takes
    assert standing_fleet.workers[0].is_running()
    restart(postgres)
    gate.touch()
    story = await until_ended(job)

    assert (story.job.attempt, story.job.crashes, story.cost) == (1, 0, 5)


async def test_jobs_submitted_after_postgres_came_back_are_run(
    standing_fleet: RunningStack, submit: Submit, until_ended: Until, postgres: Process
) -> None:
    postgres.kill()
    restart(postgres)

    assert (await until_ended(await submit("prove"))).status is JobStatus.COMPLETED
    assert standing_fleet.workers[0].is_running()

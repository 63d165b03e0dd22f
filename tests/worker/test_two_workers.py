"""Two workers on one queue: they share what waits, and do not wait for each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimized_tsp.embedded.process import wait_until
from optimized_tsp.jobs.states import JobStatus
from tests.stack import READY_TIMEOUT_S, RunningStack, TestDatabase
from tests.worker.conftest import Submit, Until, below


@pytest.fixture(scope="module")
def database(standing_database: TestDatabase) -> TestDatabase:
    """One for all tests here."""
    return standing_database


@pytest.fixture(scope="module", autouse=True)
def _two_workers(standing_fleet: RunningStack) -> None:
    second = standing_fleet.start_worker()
    assert wait_until(lambda: len(below(second)) == 2, timeout_s=READY_TIMEOUT_S)


async def test_a_backlog_is_shared_and_every_job_is_run_once(
    submit: Submit, until: Until, until_ended: Until, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    jobs = [await submit("prove", ring=False, gate=gate) for _ in range(30)]
    for job in jobs[:2]:  # the oldest, one on each: neither ends before both run
        await until(job, lambda story: story.cost == 5)
    gate.touch()

    stories = [await until_ended(job) for job in jobs]

    assert {story.status for story in stories} == {JobStatus.COMPLETED}
    assert {story.job.attempt for story in stories} == {1}


async def test_a_long_job_on_one_worker_holds_up_nothing_on_the_other(
    submit: Submit, until: Until, until_ended: Until, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    long = await submit("prove", gate=gate)
    await until(long, lambda story: story.cost == 5)

    short = [await until_ended(await submit("prove"), within_s=5) for _ in range(5)]
    gate.touch()

    assert {story.status for story in short} == {JobStatus.COMPLETED}
    assert (await until_ended(long)).job.attempt == 1

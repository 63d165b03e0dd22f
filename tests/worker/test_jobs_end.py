"""However a solver behaves, its job ends, with an answer or a reason for people."""

from __future__ import annotations

import time
from itertools import groupby
from pathlib import Path

import pytest

from optimized_tsp.jobs.answers import NO_SOLUTION_IN_TIME
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.worker.progress import INCUMBENT_EVERY_S
from tests.crowding import crowding
from tests.promises import promised
from tests.stack import TestDatabase
from tests.worker.conftest import Submit, Until

pytestmark = pytest.mark.usefixtures("standing_fleet")


@pytest.fixture(scope="module")
def database(standing_database: TestDatabase) -> TestDatabase:
    """One for all tests here."""
    return standing_database


async def test_a_solved_job_tells_its_story(submit: Submit, until_ended: Until) -> None:
    story = await until_ended(await submit("prove"))

    assert story.status is JobStatus.COMPLETED
    kinds = [kind for kind, _ in groupby(story.types)]
    assert kinds == ["submitted", "started", "incumbent", "completed"]
    assert (story.job.solution_status, story.job.stop_reason) == ("optimal", "proven")
    assert (story.job.attempt, story.job.crashes, story.job.error) == (1, 0, None)
    assert story.solution is not None
    assert (story.solution.cost, story.solution.lower_bound, story.solution.gap) == (5, 5, 0.0)
    assert story.solution.payload == {"numbers": [5, 0, 0]}
    assert story.solution.final


async def test_an_infeasible_instance_is_completed(submit: Submit, until_ended: Until) -> None:
    story = await until_ended(await submit("infeasible"))

    assert (story.status, story.job.solution_status) == (JobStatus.COMPLETED, "infeasible")
    assert story.types == ["submitted", "started", "completed"]


async def test_a_job_ends_and_the_next_begins_in_one_transaction(
    submit: Submit, until: Until, until_ended: Until, tmp_path: Path
) -> None:
    # Given two jobs that wait for the one that runs
    gate = tmp_path / "gate"
    running = await submit("prove", gate=gate)
    await until(running, lambda story: "started" in story.types)
    first, second = [await submit("infeasible") for _ in range(2)]

    gate.touch()
    ended, begun = await until_ended(first), await until_ended(second)

    # Both times are that of their transaction
    assert ended.job.completed_at == begun.job.started_at
    assert (ended.job.attempt, begun.job.attempt) == (1, 1)
    for story in (ended, begun):
        story.assert_events_are_sound()
        assert story.job.last_seq == len(story.events)


async def test_the_time_limit_with_a_solution_completes_the_job_in_time(
    submit: Submit, until_ended: Until
) -> None:
    begun = time.monotonic()
    with promised(0.5, after_s=1.0):
        story = await until_ended(await submit("polite", timeout_s=1.0))

    assert time.monotonic() - begun > 0.9
    assert (story.status, story.job.solution_status) == (JobStatus.COMPLETED, "feasible")
    assert story.job.stop_reason == "time_limit"


async def test_the_time_limit_without_a_solution_is_a_failure_with_a_reason(
    submit: Submit, until_ended: Until
) -> None:
    story = await until_ended(await submit("find_nothing", timeout_s=0.2))

    assert (story.status, story.job.error) == (JobStatus.FAILED, NO_SOLUTION_IN_TIME)


async def test_an_exception_fails_the_job_and_keeps_its_best_solution(
    submit: Submit, until_ended: Until
) -> None:
    story = await until_ended(await submit("fail"))

    assert story.status is JobStatus.FAILED
    assert story.job.error == "The solver failed: ValueError: the numbers do not add up"
    assert story.types == ["submitted", "started", "incumbent", "failed"]
    assert (story.cost, story.job.crashes) == (8, 0)


async def test_a_solution_held_back_when_the_solver_fails_is_stored(
    submit: Submit, until_ended: Until
) -> None:
    story = await until_ended(await submit("improve_then_fail"))

    assert (story.status, story.cost) == (JobStatus.FAILED, 7)


async def test_a_wrong_solution_is_an_error_of_ours_and_never_shown(
    submit: Submit, until_ended: Until
) -> None:
    story = await until_ended(await submit("wrong_incumbent"))

    assert story.status is JobStatus.FAILED
    assert story.job.error is not None
    assert story.job.error.startswith("The solver's answer failed the check")
    assert story.cost == 8


async def test_three_crashes_fail_the_job_and_keep_its_best_solution(
    submit: Submit, until_ended: Until
) -> None:
    story = await until_ended(await submit("segfault"))

    assert story.status is JobStatus.FAILED
    assert story.job.error == (
        "Given up after 3 crashes; the last one: the solver crashed: SIGSEGV (Segmentation fault)."
    )
    assert (story.job.attempt, story.job.crashes, story.cost) == (3, 3, 8)
    assert story.types == ["submitted", "started", "incumbent", "started", "started", "failed"]


async def test_a_crashing_job_harms_no_other(submit: Submit, until_ended: Until) -> None:
    jobs = [await submit(behaviour) for behaviour in ("prove", "abort", "prove", "fail", "prove")]

    statuses = [(await until_ended(job)).status for job in jobs]

    assert statuses == [
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.COMPLETED,
    ]


@pytest.mark.parametrize("behaviour", ["polite", "ignore_stop"])
async def test_a_cancel_stops_the_solver_within_a_second_and_keeps_the_best_solution(
    submit: Submit,
    until: Until,
    until_ended: Until,
    cancel: Until,
    behaviour: str,
) -> None:
    job = await submit(behaviour)
    running = await until(job, lambda story: story.cost is not None)

    with promised(1.0):
        await cancel(job)
        story = await until_ended(job)

    assert (story.status, story.job.stop_reason) == (JobStatus.CANCELLED, "cancelled")
    assert story.cost == running.cost


async def test_a_cancel_that_the_bus_lost_is_found_in_the_row(
    submit: Submit, until: Until, until_ended: Until, cancel: Until
) -> None:
    job = await submit("polite")
    await until(job, lambda story: story.cost is not None)

    await cancel(job, announce=False)

    assert (await until_ended(job, within_s=3)).status is JobStatus.CANCELLED


async def test_progress_is_throttled_and_the_last_one_held_back_is_not_lost(
    submit: Submit, until_ended: Until
) -> None:
    begun = time.monotonic()
    story = await until_ended(await submit("descend", timeout_s=2.0))

    moments = [event.at.timestamp() for event in story.of_type("incumbent")]
    gaps = len(moments) - 1
    assert len(moments) >= 6 / crowding(begun)
    assert gaps <= (moments[-1] - moments[0]) / INCUMBENT_EVERY_S + 1  # a commit may be late


async def test_a_held_back_solution_is_stored_when_its_time_comes(
    submit: Submit, until: Until, until_ended: Until, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"

    job = await submit("prove", gate=gate)  # 9, at once 5, then nothing until the gate opens
    story = await until(job, lambda story: story.cost == 5)

    assert [event.data["cost"] for event in story.of_type("incumbent")][-1] == 5
    gate.touch()
    await until_ended(job)

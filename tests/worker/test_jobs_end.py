"""However a solver behaves, its job ends, with an answer or a reason for people."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from optimized_tsp.jobs.answers import NO_SOLUTION_IN_TIME
from optimized_tsp.jobs.states import JobStatus
from tests.stack import RunningStack
from tests.worker.conftest import Submit, Until


async def test_a_solved_job_tells_its_story(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()

    story = await until_ended(await submit("prove"))

    assert story.status is JobStatus.COMPLETED
    assert story.types == ["submitted", "started", "incumbent", "completed"]
    assert (story.job.solution_status, story.job.stop_reason) == ("optimal", "proven")
    assert (story.job.attempt, story.job.crashes, story.job.error) == (1, 0, None)
    assert story.solution is not None
    assert (story.solution.cost, story.solution.lower_bound, story.solution.gap) == (5, 5, 0.0)
    assert story.solution.payload == {"numbers": [5, 0, 0]}
    assert story.solution.final


async def test_an_infeasible_instance_is_completed(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()

    story = await until_ended(await submit("infeasible"))

    assert (story.status, story.job.solution_status) == (JobStatus.COMPLETED, "infeasible")
    assert story.types == ["submitted", "started", "completed"]


async def test_a_job_ends_and_the_next_begins_in_one_transaction(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    first, second = [await submit("infeasible") for _ in range(2)]

    fleet.start_worker()
    ended, begun = await until_ended(first), await until_ended(second)

    # Both times are that of their transaction
    assert ended.job.completed_at == begun.job.started_at
    assert (ended.job.attempt, begun.job.attempt) == (1, 1)
    for story in (ended, begun):
        story.assert_events_are_sound()
        assert story.job.last_seq == len(story.events)


async def test_the_time_limit_with_a_solution_completes_the_job_in_time(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()
    await until_ended(await submit("prove"))  # the worker is up

    begun = time.monotonic()
    story = await until_ended(await submit("polite", timeout_s=1.0))

    assert 0.9 < time.monotonic() - begun < 1.5
    assert (story.status, story.job.solution_status) == (JobStatus.COMPLETED, "feasible")
    assert story.job.stop_reason == "time_limit"


async def test_the_time_limit_without_a_solution_is_a_failure_with_a_reason(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()

    story = await until_ended(await submit("find_nothing", timeout_s=0.2))

    assert (story.status, story.job.error) == (JobStatus.FAILED, NO_SOLUTION_IN_TIME)


async def test_an_exception_fails_the_job_and_keeps_its_best_solution(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()

    story = await until_ended(await submit("fail"))

    assert story.status is JobStatus.FAILED
    assert story.job.error == "The solver failed: ValueError: the numbers do not add up"
    assert story.types == ["submitted", "started", "incumbent", "failed"]
    assert (story.cost, story.job.crashes) == (8, 0)


async def test_a_solution_held_back_when_the_solver_fails_is_stored(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()

    story = await until_ended(await submit("improve_then_fail"))

    assert (story.status, story.cost) == (JobStatus.FAILED, 7)


async def test_a_wrong_solution_is_an_error_of_ours_and_never_shown(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()

    story = await until_ended(await submit("wrong_incumbent"))

    assert story.status is JobStatus.FAILED
    assert story.job.error is not None
    assert story.job.error.startswith("The solver's answer failed the check")
    assert story.cost == 8


async def test_three_crashes_fail_the_job_and_keep_its_best_solution(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()

    story = await until_ended(await submit("segfault"))

    assert story.status is JobStatus.FAILED
    assert story.job.error == (
        "Given up after 3 crashes; the last one: the solver crashed: SIGSEGV (Segmentation fault)."
    )
    assert (story.job.attempt, story.job.crashes, story.cost) == (3, 3, 8)
    assert story.types == ["submitted", "started", "incumbent", "started", "started", "failed"]


async def test_a_crashing_job_harms_no_other(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()
    jobs = [await submit(behaviour) for behaviour in ("prove", "abort", "prove", "fail", "prove")]

    statuses = [(await until_ended(job)).status for job in jobs]

    assert statuses == [
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.COMPLETED,
    ]


async def test_a_backlog_is_shared_and_every_job_is_run_once(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    jobs = [await submit("prove", ring=False) for _ in range(30)]
    fleet.start_worker()
    fleet.start_worker()

    stories = [await until_ended(job) for job in jobs]

    assert {story.status for story in stories} == {JobStatus.COMPLETED}
    assert {story.job.attempt for story in stories} == {1}


async def test_a_long_job_on_one_worker_holds_up_nothing_on_the_other(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until, tmp_path: Path
) -> None:
    fleet.start_worker()
    fleet.start_worker()
    gate = tmp_path / "gate"
    long = await submit("prove", gate=gate)
    await until(long, lambda story: story.cost == 5)

    short = [await until_ended(await submit("prove"), within_s=5) for _ in range(5)]
    gate.touch()

    assert {story.status for story in short} == {JobStatus.COMPLETED}
    assert (await until_ended(long)).job.attempt == 1


@pytest.mark.parametrize("behaviour", ["polite", "ignore_stop"])
async def test_a_cancel_stops_the_solver_within_a_second_and_keeps_the_best_solution(
    fleet: RunningStack,
    submit: Submit,
    until: Until,
    until_ended: Until,
    cancel: Until,
    behaviour: str,
) -> None:
    fleet.start_worker()
    job = await submit(behaviour)
    running = await until(job, lambda story: story.cost is not None)

    begun = time.monotonic()
    await cancel(job)
    story = await until_ended(job)

    assert time.monotonic() - begun < 1.0
    assert (story.status, story.job.stop_reason) == (JobStatus.CANCELLED, "cancelled")
    assert story.cost == running.cost


async def test_a_cancel_that_the_bus_lost_is_found_in_the_row(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until, cancel: Until
) -> None:
    fleet.start_worker()
    job = await submit("polite")
    await until(job, lambda story: story.cost is not None)

    await cancel(job, announce=False)

    assert (await until_ended(job, within_s=3)).status is JobStatus.CANCELLED


async def test_progress_is_throttled_and_the_last_one_held_back_is_not_lost(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    fleet.start_worker()

    story = await until_ended(await submit("descend", timeout_s=2.0))

    moments = [event.at.timestamp() for event in story.of_type("incumbent")]
    assert 6 <= len(moments) <= 11
    assert min(later - earlier for earlier, later in pairwise(moments)) > 0.15


async def test_a_held_back_solution_is_stored_when_its_time_comes(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until, tmp_path: Path
) -> None:
    fleet.start_worker()
    gate = tmp_path / "gate"

    job = await submit("prove", gate=gate)  # 9, at once 5, then nothing until the gate opens
    story = await until(job, lambda story: story.cost == 5, within_s=10)

    assert [event.data["cost"] for event in story.of_type("incumbent")][-1] == 5
    gate.touch()
    await until_ended(job)

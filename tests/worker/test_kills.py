"""kill -9 of anything, frozen workers, polite stops: the job ends once, its best tour is kept."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import psutil
import pytest

from optimized_tsp.core.context import Origin, coming_from
from optimized_tsp.core.database import Database
from optimized_tsp.embedded.process import Process, wait_until
from optimized_tsp.jobs.states import MAX_CRASHES, JobStatus
from tests.live.test_delivery import refuse_connections
from tests.promises import promised
from tests.stack import READY_TIMEOUT_S, RunningStack, Servers, TestDatabase
from tests.worker.conftest import PLUGINS, Story, Submit, Until, below, tell

FAILPOINTS = Path(__file__).parent / "failpoints"


def solver_child(worker: Process) -> psutil.Process:
    [server] = psutil.Process(worker.pid).children()
    [child] = server.children()
    return child


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def wait_gone(processes: list[psutil.Process], within_s: float) -> None:
    with promised(within_s):
        while not all(map(gone, processes)):  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(0.01)


def has_solution(story: Story) -> bool:
    return story.cost is not None


def has_begun(story: Story) -> bool:
    return story.job.run_started_at is not None


async def test_a_killed_solver_child_costs_one_crash_and_the_job_goes_on_from_its_best(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until
) -> None:
    worker = fleet.start_worker()
    job = await submit("improve_start", gate=Path("/nowhere"))
    await until(job, has_solution)

    solver_child(worker).kill()
    story = await until_ended(job)

    assert story.status is JobStatus.COMPLETED
    assert (story.job.attempt, story.job.crashes) == (2, 1)
    assert story.cost == 8  # improved from the stored 9
    assert story.types == ["submitted", "started", "incumbent", "started", "completed"]


async def test_the_job_of_a_killed_worker_is_rescued_by_another_and_goes_on_from_its_best(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until
) -> None:
    worker = fleet.start_worker()
    job = await submit("improve_start", gate=Path("/nowhere"))
    await until(job, has_solution)
    left_behind = below(worker)
    fleet.start_worker()

    psutil.Process(worker.pid).kill()
    story = await until_ended(job)

    assert story.status is JobStatus.COMPLETED
    assert (story.job.attempt, story.job.crashes, story.cost) == (2, 1, 8)
    await wait_gone(left_behind, within_s=3)


async def test_everything_killed_at_once_loses_nothing(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until
) -> None:
    workers = [fleet.start_worker(), fleet.start_worker()]
    running = await submit("improve_start", gate=Path("/nowhere"))
    await until(running, has_solution)
    waiting = await submit("prove", ring=False)
    doomed = [p for worker in workers for p in (psutil.Process(worker.pid), *below(worker))]

    for process in doomed:
        process.kill()
    fleet.start_worker()

    assert (await until_ended(running)).cost == 8
    assert (await until_ended(waiting)).status is JobStatus.COMPLETED


async def test_a_job_that_kills_its_workers_is_failed_after_the_third(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until
) -> None:
    job = await submit("ignore_stop")
    for attempt in (1, 2, 3):
        worker = fleet.start_worker()
        await until(job, lambda story, n=attempt: has_begun(story) and story.job.attempt == n)
        psutil.Process(worker.pid).kill()
    fleet.start_worker()

    story = await until_ended(job)

    assert story.status is JobStatus.FAILED
    assert story.job.error == (
        "Given up after 3 crashes; the last one: the worker that ran it disappeared."
    )


async def test_a_job_whose_workers_are_killed_before_its_run_begins_is_blamed_for_nothing(
    fleet: RunningStack, submit: Submit, until_ended: Until, tmp_path: Path
) -> None:
    before, job = await submit("prove", ring=False), await submit("prove", ring=False)
    doomed = tmp_path / "doomed"
    doomed.write_text(str(job))
    fleet.env |= {
        "PYTHONPATH": f"{FAILPOINTS}:{PLUGINS}",
        "BETWEEN_CLAIM_AND_RUN": str(doomed),
    }
    for _ in range(MAX_CRASHES):  # the first takes the job with the end of the one before
        await asyncio.to_thread(_wait_ended, fleet.start_worker())
    doomed.unlink()
    fleet.start_worker()

    story = await until_ended(job)

    assert (await until_ended(before)).status is story.status is JobStatus.COMPLETED
    assert (story.job.attempt, story.job.crashes) == (1, 0)
    assert story.types == ["submitted", *["started"] * (MAX_CRASHES + 1), "incumbent", "completed"]
    assert story.job.run_time_s < float(fleet.env["OPTIMIZED_TSP_LEASE_S"])


@pytest.mark.parametrize(
    ("behaviour", "number"), [("polite", signal.SIGINT), ("ignore_stop", signal.SIGTERM)]
)
async def test_a_worker_that_is_asked_to_stop_gives_its_job_back(
    fleet: RunningStack,
    submit: Submit,
    until: Until,
    behaviour: str,
    number: signal.Signals,
) -> None:
    worker = fleet.start_worker()
    job = await submit(behaviour)
    await until(job, has_solution)
    left_behind = below(worker)

    with promised(3):
        worker.send(number)
        await asyncio.to_thread(_wait_ended, worker)

    assert worker.ending() == "ended with exit status 0"
    story = await until(job, lambda story: story.status is JobStatus.SUBMITTED, within_s=1)
    assert (story.job.attempt, story.job.crashes) == (0, 0)
    assert story.cost is not None
    await wait_gone(left_behind, within_s=1)
    assert_calm(fleet)


def assert_calm(fleet: RunningStack) -> None:
    """No worker has logged an error."""
    said = fleet.logs()
    assert "Traceback" not in said
    assert not re.search(r"\[(error|critical) *\]", said), said


async def test_a_worker_that_cannot_give_its_job_back_stops_all_the_same_and_says_so(
    fleet: RunningStack,
    submit: Submit,
    until: Until,
    until_ended: Until,
    servers: Servers,
    database: TestDatabase,
) -> None:
    worker = fleet.start_worker()
    with coming_from(Origin("request-of-the-test")):
        job = await submit("improve_start", gate=Path("/nowhere"))
    await until(job, has_solution)

    refuse_connections(servers, database)
    with promised(8):
        worker.ask_to_stop()
        await asyncio.to_thread(_wait_ended, worker)
    servers.run_sql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    fleet.start_worker()
    story = await until_ended(job)

    # Then its end was calm, and another goes on from what was stored
    assert worker.ending() == "ended with exit status 0"
    [said] = [line for line in fleet.logs().splitlines() if "job_abandoned" in line]
    facts = dict(re.findall(r"(\w+)=(\S+)", said))
    assert (facts["job"], facts["request_id"]) == (str(job), "request-of-the-test")
    assert (facts["solver"], facts["version"], facts["attempt"]) == ("odd", "v1", "1")
    assert_calm(fleet)
    assert (story.status, story.cost) == (JobStatus.COMPLETED, 8)


async def test_a_job_given_back_is_taken_by_another_worker_and_its_best_is_kept(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until
) -> None:
    worker = fleet.start_worker()
    job = await submit("improve_start", gate=Path("/nowhere"))
    await until(job, has_solution)
    fleet.start_worker()

    worker.ask_to_stop()
    story = await until_ended(job)

    assert story.status is JobStatus.COMPLETED
    assert (story.job.attempt, story.job.crashes, story.cost) == (1, 0, 8)


async def test_the_latest_solution_is_stored_before_the_job_is_given_back(
    fleet: RunningStack, submit: Submit, until: Until
) -> None:
    worker = fleet.start_worker()
    job = await submit("improve_then_wait")
    await until(job, has_solution)  # 8; the 7 that follows is held back for a moment

    worker.ask_to_stop()
    story = await until(job, lambda story: story.status is JobStatus.SUBMITTED)

    assert [event.data["cost"] for event in story.of_type("incumbent")] == [8, 7]
    assert story.cost == 7


async def test_a_cancel_while_the_worker_stops_is_obeyed(
    fleet: RunningStack, submit: Submit, until: Until, until_ended: Until, cancel: Until
) -> None:
    worker = fleet.start_worker()
    job = await submit("ignore_stop")
    await until(job, has_solution)

    worker.ask_to_stop()
    await cancel(job, announce=False)

    assert (await until_ended(job, within_s=5)).status is JobStatus.CANCELLED


async def test_an_idle_worker_stops_at_once(
    fleet: RunningStack, submit: Submit, until_ended: Until
) -> None:
    worker = fleet.start_worker()
    await until_ended(await submit("prove"), within_s=READY_TIMEOUT_S)  # it has begun by now

    with promised(2):
        worker.ask_to_stop()
        await asyncio.to_thread(_wait_ended, worker)

    assert worker.ending() == "ended with exit status 0"


async def test_a_frozen_worker_that_wakes_up_after_its_lease_overwrites_nothing(
    fleet: RunningStack,
    submit: Submit,
    until: Until,
    until_ended: Until,
    db: Database,
    tmp_path: Path,
) -> None:
    frozen = fleet.start_worker()
    gate = tmp_path / "gate"
    job = await submit("improve_start", gate=gate)
    await until(job, has_solution)
    fleet.start_worker()

    frozen.send(signal.SIGSTOP)
    ended = await until_ended(job)
    gate.touch()  # its solver goes on and has an answer for the frozen worker
    frozen.send(signal.SIGCONT)
    after = await until_ended(await submit("prove"))
    fleet.workers[1].ask_to_stop()
    by_the_thawed = await until_ended(await submit("prove"))

    assert (ended.job.attempt, ended.job.crashes, ended.cost) == (2, 1, 8)
    assert after.status is by_the_thawed.status is JobStatus.COMPLETED
    story = await tell(db, job)
    story.assert_events_are_sound()
    assert (story.types, story.job.completed_at) == (ended.types, ended.job.completed_at)
    assert story.cost == 8
    assert "lease_lost" in frozen.log.read_text()


def _wait_ended(process: Process) -> None:
    assert wait_until(lambda: not process.is_running(), timeout_s=READY_TIMEOUT_S)

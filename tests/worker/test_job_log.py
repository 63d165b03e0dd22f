"""The log of a job: complete, in order, bounded, and there after any kill."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import psutil
import pytest
from sqlalchemy import select

from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.jobs.leases import LeaseLost, claim_next
from optimized_tsp.jobs.logs import LogLineView, NewLine, append_lines, find_log
from optimized_tsp.jobs.models import LogLine
from optimized_tsp.jobs.outcomes import rescue_expired
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.states import JobStatus
from tests.stack import RunningStack, TestDatabase
from tests.worker.conftest import Story, Submit, Until

SCOPE = Scope(DEFAULT_TENANT_ID)
pytestmark = pytest.mark.usefixtures("standing_fleet")


@pytest.fixture(scope="module")
def database(standing_database: TestDatabase) -> TestDatabase:
    """One for all tests here."""
    return standing_database


async def log_of(db: Database, job: UUID) -> list[LogLineView]:
    async with db.read() as session:
        return (await find_log(session, SCOPE, job, after=0, limit=100_000)).lines


def has_log(story: Story) -> bool:
    return story.job.log_lines >= 2


async def test_a_log_is_there_while_the_job_runs_and_tells_the_end(
    submit: Submit, until: Until, until_ended: Until, db: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = await submit("talk", gate=gate)

    await until(job, has_log)
    async with db.read() as session:
        early = await find_log(session, SCOPE, job, after=0, limit=1000)
    gate.touch()
    await until_ended(job)
    async with db.read() as session:
        rest = await find_log(session, SCOPE, job, after=early.lines[-1].line, limit=1000)

    assert not early.complete
    assert (rest.complete, rest.truncated) == (True, False)
    lines = early.lines + rest.lines
    assert [line.line for line in lines] == list(range(1, len(lines) + 1))
    assert [line.message for line in lines] == [
        lines[0].message,
        "looking at 3 numbers",
        "odd ? characters: \u2211, \U0001f600",
        "Better solution: cost 7, lower bound 2, gap 71.4 %",
        "done",
        "End: feasible, cost 7, lower bound 2; why it stopped: no improvement",
    ]
    assert lines[0].message.startswith("Attempt 1: odd v1, 10 bytes of input, 60 s, 1 thread")
    assert [line.elapsed for line in lines] == sorted(line.elapsed for line in lines)
    assert lines[2].level == "warning"


async def test_a_solver_s_crash_is_told_and_costs_nothing_that_was_said(
    submit: Submit, until_ended: Until, db: Database
) -> None:
    story = await until_ended(await submit("segfault"))

    lines = await log_of(db, story.job.id)
    assert story.status is JobStatus.FAILED
    assert [line.attempt for line in lines] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [line.level for line in lines if "SIGSEGV" in line.message] == ["error"] * 3
    assert lines[1].message.startswith("Better solution: cost 8")
    assert lines[-1].message == story.job.error


async def test_what_was_stored_survives_the_worker(
    standing_fleet: RunningStack, submit: Submit, until: Until, until_ended: Until, db: Database
) -> None:
    job = await submit("improve_start", gate=Path("/nowhere"))
    await until(job, has_log)

    psutil.Process(standing_fleet.workers[-1].pid).kill()
    standing_fleet.start_worker()
    await until_ended(job)

    lines = await log_of(db, job)
    assert [line.line for line in lines] == list(range(1, len(lines) + 1))
    assert [line.attempt for line in lines] == [1, 1, 1, 2, 2, 2]
    assert "the worker that ran it disappeared" in lines[2].message
    assert "from the best solution so far" in lines[3].message


async def test_a_log_is_bounded_says_so_and_still_tells_the_end(
    submit: Submit, until_ended: Until, db: Database
) -> None:
    story = await until_ended(await submit("talk_without_end"))

    assert story.status is JobStatus.COMPLETED
    assert story.job.log_truncated
    assert story.job.log_bytes <= 2**20
    lines = await log_of(db, story.job.id)
    assert sum(len(line.message) for line in lines) > 900_000
    assert lines[-2].message.startswith("The log ends here: it has reached 1 MiB.")
    assert lines[-1].message.startswith("End: feasible, cost 7")


async def test_lines_are_fenced_and_stored_once(submit: Submit, db: Database) -> None:
    # Given a run that stored a line, and does not know whether that was committed
    job = await submit("talk", ring=False)
    solvers = [("odd", "v1")]
    claim = await claim_next(db, worker="first", lease_s=0, solvers=solvers)
    assert claim is not None
    line = NewLine(0.5, "info", "said once")
    for _ in range(2):
        async with db.write() as session:
            assert await append_lines(session, claim, [line], after=0) == 1
    # When the job is rescued and somebody else's
    async with db.write() as session:
        await rescue_expired(session)
    assert await claim_next(db, worker="second", lease_s=60, solvers=solvers) is not None
    # Then the first can add nothing more
    with pytest.raises(LeaseLost):
        async with db.write() as session:
            await append_lines(session, claim, [line], after=1)
    async with db.read() as session:
        messages = await session.scalars(select(LogLine.message).where(LogLine.job_id == job))
        assert list(messages).count("said once") == 1

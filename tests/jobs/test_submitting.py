"""Submissions that share transactions: each ends as if it came alone, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs.service import NewJob
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.jobs.submitting import Stored, Submitter
from optimized_tsp.solvers.tsp import TspSolver
from tests.jobs.conftest import TRIANGLE


def new_job(name: str) -> NewJob:
    body = orjson.dumps({"name": name, "tsp_instance": TRIANGLE})
    return NewJob(DEFAULT_TENANT_ID, parse_submission(TspSolver(), body, Settings()))


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    bus = Bus(redis_url)
    yield bus
    await bus.close()


async def test_everybody_is_told_of_their_own_job(db: Database, bus: Bus) -> None:
    submitter = Submitter(db, bus, most=8)
    jobs = [new_job(f"job {number}") for number in range(50)]

    stored = await asyncio.gather(*map(submitter.submit, jobs))

    assert [one.job.id for one in stored] == [job.id for job in jobs]
    async with db.read() as session:
        rows = (await session.execute(text("SELECT id, name FROM jobs ORDER BY id"))).all()
    assert {row.id: row.name for row in rows} == {job.id: job.submission.name for job in jobs}


async def test_what_the_database_refuses_fails_alone(db: Database, bus: Bus) -> None:
    submitter = Submitter(db, bus, most=8)
    jobs = [new_job(f"job {number}") for number in range(8)]
    taken = await submitter.submit(new_job("first"))
    jobs[3] = replace(jobs[3], id=taken.job.id)

    results = await asyncio.gather(*map(submitter.submit, jobs), return_exceptions=True)

    assert [type(one) for one in results] == [Stored] * 3 + [IntegrityError] + [Stored] * 4
    async with db.read() as session:
        names = await session.scalars(text("SELECT name FROM jobs ORDER BY id"))
    assert sorted(names) == ["first", *(f"job {number}" for number in range(8) if number != 3)]


class SlowSubmitter(Submitter):
    """Commits when the test says so."""

    def __init__(self, database: Database, bus: Bus) -> None:
        super().__init__(database, bus, most=1)
        self.commits: list[asyncio.Event] = []
        self.begun = asyncio.Semaphore(0)

    async def _commit(self, jobs: list[NewJob]) -> list[Stored]:
        commit = asyncio.Event()
        self.commits.append(commit)
        self.begun.release()
        await commit.wait()
        return [Stored(job, datetime.now(UTC), 1) for job in jobs]


async def test_who_comes_in_the_moment_the_last_transaction_ends_is_not_forgotten(
    db: Database, bus: Bus
) -> None:
    submitter = SlowSubmitter(db, bus)
    first = [asyncio.create_task(submitter.submit(new_job(name))) for name in ("one", "two")]
    for _ in first:
        await submitter.begun.acquire()

    for commit in submitter.commits:
        commit.set()
    late = asyncio.create_task(submitter.submit(new_job("late")))  # runs right after they end

    async with asyncio.timeout(5):
        await asyncio.gather(*first)
        await submitter.begun.acquire()
        submitter.commits[-1].set()
        await late

"""The version before this one beside it, on the same tables: what it says to Postgres is recorded.

`version_before.json` holds the statements, with their parameters, with which the version before
submitted, claimed, reported on and ended a job: what its APIs and workers do while this version is
rolled out, or after it is taken back. Its processes run in `make soak` (tests/faults/versions.py).
They are recorded anew with each release (`tests/jobs/record_version.py`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import make_url

from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.events.listen import _job_ids
from optimized_tsp.events.log import events_of_job, sequence
from optimized_tsp.jobs.answers import Ended, finish, finish_and_claim
from optimized_tsp.jobs.logs import find_log
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.repository import Scope, find_job
from optimized_tsp.jobs.states import JobStatus
from tests.jobs.test_leases import WORSE_TOUR, answer, begin, claim, expire_lease, job_row, rescue

RECORDED = json.loads((Path(__file__).parent / "version_before.json").read_text())
JOB = UUID(RECORDED["job"])
SCOPE = Scope(DEFAULT_TENANT_ID, "tsp", "v1")


class Before:
    """An API or worker of the version before."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def does(self, *steps: str) -> list[Any]:
        """Do what is recorded, each step in a transaction; the rows of the last statement."""
        rows: list[Any] = []
        for step in steps:
            async with self._connection.transaction():
                for statement in RECORDED["steps"][step]:
                    parameters = [_value(one) for one in statement["parameters"]]
                    rows = await self._connection.fetch(statement["sql"], *parameters)
        return rows


def _value(recorded: Any) -> Any:
    match recorded:
        case {"uuid": text}:
            return UUID(text)
        case {"hex": text}:
            return bytes.fromhex(text)
        case {"seconds": seconds}:
            return timedelta(seconds=seconds)
        case list():
            return [_value(one) for one in recorded]
    return recorded


@pytest.fixture
async def before(database_url: str) -> AsyncIterator[Before]:
    url = make_url(database_url).set(drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    yield Before(connection)
    await connection.close()


async def told(db: Database) -> list[str]:
    """What readers of this version are told of the job."""
    await sequence(db)
    async with db.read() as session:
        events = await events_of_job(session, JOB, after_seq=0, limit=100)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(event.data is not None for event in events)
    return [event.type.removeprefix("job.") for event in events]


async def test_a_job_of_the_version_before_is_read_by_this_one(
    db: Database, before: Before
) -> None:
    await before.does("submit", "claim", "progress", "log", "renew", "finish")

    assert await told(db) == ["submitted", "started", "incumbent", "completed"]
    view = await find_job(db, Places(db), SCOPE, JOB)
    async with db.read() as session:
        log = await find_log(session, SCOPE, JOB, after=0, limit=10)
    assert (view.status, view.cost, view.lower_bound, view.tags) == (
        JobStatus.COMPLETED,
        6,
        6,
        {"team": "north"},
    )
    assert [line.message for line in log.lines] == ["said before", "done"]
    assert log.complete


async def test_a_job_submitted_by_the_version_before_is_done_by_this_one(
    db: Database, before: Before
) -> None:
    await before.does("submit")

    assert await finish_and_claim(db, await claim(db), answer()) == Ended(JobStatus.COMPLETED, None)

    assert await told(db) == ["submitted", "started", "completed"]


async def test_a_job_of_a_lost_worker_of_the_version_before_goes_on_here(
    db: Database, before: Before
) -> None:
    await before.does("submit", "claim", "progress", "log")
    await expire_lease(db, JOB)
    assert await rescue(db) == [(JOB, JobStatus.SUBMITTED)]
    assert (await job_row(db, JOB)).crashes == 1
    taken_over = await claim(db)
    assert taken_over.start == WORSE_TOUR

    # The worker of before was not lost, only late: it learns that the job is not its own
    assert await before.does("renew") == []
    async with db.write() as session:
        await finish(session, taken_over, answer())

    kinds = ["submitted", "started", "incumbent", "started", "completed"]
    assert await told(db) == kinds


async def test_a_job_given_back_here_is_claimed_by_the_version_before(
    db: Database, before: Before
) -> None:
    await before.does("submit")
    await begin(db, await claim(db))
    await expire_lease(db, JOB)
    await rescue(db)

    [row] = await before.does("claim")

    assert (row["id"], row["leased_by"], row["fence"]) == (JOB, "worker of before", 2)
    assert (await job_row(db, JOB)).attempt == 2


def test_what_the_version_before_says_on_redis_is_understood() -> None:
    assert _job_ids(JOB.bytes) == [JOB]
    assert _job_ids(JOB.bytes * 2) == [JOB, JOB]
    assert _job_ids(b"what a later version may say") == [None]

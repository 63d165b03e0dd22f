"""Submissions that share transactions: each ends as if it came alone, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

import asyncpg
import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from optimized_tsp.core.config import Settings
from optimized_tsp.core.context import Origin, coming_from, current_origin
from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.errors import InvalidInput, ServiceError, ServiceUnavailable
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs import submitting
from optimized_tsp.jobs.idempotency import Replay
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.storing import NewJob, Stored, store_job, store_jobs
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.jobs.submitting import Submitter
from optimized_tsp.solvers.tsp import TspSolver
from tests.jobs.conftest import TRIANGLE

PLENTY = 2**30


def new_job(name: str, key: str | None = None) -> NewJob:
    body = orjson.dumps({"name": name, "tsp_instance": TRIANGLE})
    submission = parse_submission(TspSolver(), body, Settings())
    replay = None if key is None else Replay(key, submission.fingerprint())
    return NewJob(DEFAULT_TENANT_ID, submission, replay=replay)


async def rows(db: Database, query: str) -> list[tuple[Any, ...]]:
    """What a query finds, sorted."""
    async with db.read() as session:
        return sorted(tuple(row) for row in await session.execute(text(query)))


async def until_somebody_waits(db: Database) -> None:
    """Return when a statement waits for the end of another transaction."""
    async with asyncio.timeout(10):
        while not await rows(db, "SELECT 1 FROM pg_locks WHERE NOT granted LIMIT 1"):
            pass


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    bus = Bus(redis_url)
    yield bus
    await bus.close()


async def test_everybody_is_told_of_their_own_job(db: Database, places: Places, bus: Bus) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    jobs = [new_job(f"job {number}") for number in range(50)]

    stored = await asyncio.gather(*map(submitter.submit, jobs))

    assert [one.job.id for one in stored] == [job.id for job in jobs]
    async with db.read() as session:
        rows = (await session.execute(text("SELECT id, name FROM jobs ORDER BY id"))).all()
    assert {row.id: row.name for row in rows} == {job.id: job.submission.name for job in jobs}


async def test_large_instances_share_no_more_than_their_bytes_allow(
    db: Database, places: Places, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "_SHARED_BYTES", 1000)
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    sizes = [400, 400, 400, 2000, 400, 400]

    def of_size(number: int, size: int) -> NewJob:
        job = new_job(f"job {number}")
        payload = bytes([number]) * size
        instance = replace(job.submission, payload=payload, digest=sha256(payload).digest())
        return replace(job, submission=instance)

    await asyncio.gather(*(submitter.submit(of_size(*one)) for one in enumerate(sizes)))

    shared = "SELECT array_agg(name ORDER BY name) FROM jobs GROUP BY CAST(xmin AS text)"
    assert await rows(db, shared) == [
        (["job 0", "job 1"],),
        (["job 2"],),
        (["job 3"],),
        (["job 4", "job 5"],),
    ]


async def test_what_the_database_refuses_fails_alone(
    db: Database, places: Places, bus: Bus
) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    jobs = [new_job(f"job {number}") for number in range(8)]
    taken = await submitter.submit(new_job("first"))
    jobs[3] = replace(jobs[3], id=taken.job.id)

    results = await asyncio.gather(*map(submitter.submit, jobs), return_exceptions=True)

    assert [type(one) for one in results] == [Stored] * 3 + [DBAPIError] + [Stored] * 4
    assert isinstance(results[3], DBAPIError)
    assert isinstance(results[3].orig, asyncpg.UniqueViolationError)
    async with db.read() as session:
        names = await session.scalars(text("SELECT name FROM jobs ORDER BY id"))
    assert sorted(names) == ["first", *(f"job {number}" for number in range(8) if number != 3)]


async def test_what_cannot_even_be_sent_fails_alone(db: Database, places: Places, bus: Bus) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    jobs = [new_job(f"job {number}") for number in range(8)]
    odd = replace(jobs[3].submission, parameters={"seed": 2**70})  # no number of JSON here
    jobs[3] = replace(jobs[3], submission=odd)

    results = await asyncio.gather(*map(submitter.submit, jobs), return_exceptions=True)

    refused = results.pop(3)
    assert isinstance(refused, TypeError)
    assert [type(one) for one in results] == [Stored] * 7


async def nothing_can_be_stored(session: WriteSession) -> None:
    """Until the transaction ends: Postgres does not refuse, it does not answer."""
    await session.execute(text("LOCK TABLE jobs"))


async def test_while_the_database_hangs_what_waits_is_bounded_and_others_are_told_at_once(
    db: Database, places: Places, bus: Bus
) -> None:
    # Given room for a dozen small submissions
    submitter = Submitter(db, places, bus, most=8, most_bytes=2**19)
    jobs = [new_job(f"job {number}") for number in range(100)]
    async with db.write() as session:
        await nothing_can_be_stored(session)
        waiting = [asyncio.create_task(submitter.submit(job)) for job in jobs]
        await until_somebody_waits(db)

        refused = [task for task in waiting if task.done()]
        assert 80 < len(refused) < 100
        for task in refused:
            with pytest.raises(ServiceUnavailable, match="nothing was stored"):
                task.result()
        with pytest.raises(ServiceUnavailable), submitter.room_for(jobs[0]):
            raise AssertionError("what has a transaction of its own needs room, too")

    # Then who waits is served, nobody else was, and there is room again
    stored = await asyncio.gather(*(task for task in waiting if task not in refused))
    assert len(await rows(db, "SELECT id FROM jobs")) == len(stored) == 100 - len(refused)
    assert all(one.is_new for one in await asyncio.gather(*map(submitter.submit, jobs[-10:])))


async def test_who_gave_up_waiting_takes_room_until_the_database_answers(
    db: Database, places: Places, bus: Bus
) -> None:
    submitter = Submitter(db, places, bus, most=1, most_bytes=2**15)
    async with db.write() as session:
        await nothing_can_be_stored(session)
        impatient = asyncio.create_task(submitter.submit(new_job("impatient")))
        await until_somebody_waits(db)
        impatient.cancel()
        with suppress(asyncio.CancelledError):
            await impatient

        with pytest.raises(ServiceUnavailable):
            await submitter.submit(new_job("next"))

    await until_room(submitter)
    assert [name for (name,) in await rows(db, "SELECT name FROM jobs")] == ["impatient", "next"]


async def until_room(submitter: Submitter) -> None:
    async with asyncio.timeout(10):
        while True:
            with suppress(ServiceUnavailable):
                await submitter.submit(new_job("next"))
                return
            await asyncio.sleep(0)


async def test_one_that_is_larger_than_all_room_is_taken_alone(
    db: Database, places: Places, bus: Bus
) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=1)

    assert (await submitter.submit(new_job("large"))).is_new


async def test_those_with_one_key_are_one_job(db: Database, places: Places, bus: Bus) -> None:
    # Given processes of their own
    submitters = [Submitter(db, places, bus, most=8, most_bytes=PLENTY) for _ in range(3)]
    jobs = [new_job("order", key=f"key {number % 4}") for number in range(60)]

    stored = await asyncio.gather(
        *(submitters[number % 3].submit(job) for number, job in enumerate(jobs))
    )

    made = {one.job_id for one in stored if one.is_new}
    assert len(made) == 4
    by_key = {(one.job.replay, one.job_id) for one in stored}
    assert {job_id for _, job_id in by_key} == made
    assert len(by_key) == 4
    assert await rows(db, "SELECT id FROM jobs") == [(job_id,) for job_id in sorted(made)]
    assert await rows(db, "SELECT job_id, seq FROM events") == [(one, 1) for one in sorted(made)]


async def test_a_key_with_another_body_is_refused_alone(
    db: Database, places: Places, bus: Bus
) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    before = await submitter.submit(new_job("one", key="known"))
    jobs = [
        new_job("other", key="known"),
        new_job("two", key="new"),
        new_job("another", key="new"),
        new_job("of nobody else"),
        new_job("one", key="known"),
    ]

    results = await asyncio.gather(*map(submitter.submit, jobs), return_exceptions=True)

    assert [type(one) for one in results] == [InvalidInput, Stored, InvalidInput, Stored, Stored]
    assert isinstance(results[4], Stored)
    assert (results[4].job_id, results[4].is_new) == (before.job_id, False)
    # and nothing is kept of what was refused
    assert await rows(db, "SELECT name FROM jobs") == [("of nobody else",), ("one",), ("two",)]


async def test_a_key_belongs_to_its_tenant(db: Database, places: Places, bus: Bus) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    mine, theirs = new_job("one", key="k"), replace(new_job("two", key="k"), tenant_id=new_id())

    stored = await asyncio.gather(submitter.submit(mine), submitter.submit(theirs))

    assert [one.is_new for one in stored] == [True, True]


async def test_who_comes_while_the_same_key_is_being_stored_gets_that_job(
    db: Database, places: Places, bus: Bus
) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    job = new_job("one", key="k")
    async with db.write() as session:
        first = await store_job(session, job)
        again = asyncio.create_task(submitter.submit(new_job("one", key="k")))
        await until_somebody_waits(db)
        assert not again.done()

    assert (await again).job_id == first.job_id


async def test_who_comes_while_the_same_key_is_given_up_makes_the_job(
    db: Database, places: Places, bus: Bus
) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    with suppress(ZeroDivisionError):
        async with db.write() as session:
            await store_job(session, new_job("one", key="k"))
            again = asyncio.create_task(submitter.submit(new_job("one", key="k")))
            await until_somebody_waits(db)
            raise ZeroDivisionError

    assert (await again).is_new
    assert len(await rows(db, "SELECT id FROM jobs")) == 1


async def test_an_instance_that_was_pruned_comes_back(
    db: Database, places: Places, bus: Bus
) -> None:
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    first = await submitter.submit(new_job("one"))
    async with db.write() as session:
        await session.execute(text("UPDATE instances SET payload = NULL"))

    await asyncio.gather(*(submitter.submit(new_job("again")) for _ in range(12)))

    payload = first.job.submission.payload
    assert await rows(db, "SELECT payload, size FROM instances") == [(payload, len(payload))]


async def test_places_in_the_queue_follow_the_order_of_arrival(
    db: Database, places: Places
) -> None:
    jobs = [[new_job("job") for _ in range(5)] for _ in range(3)]
    stored = [await store_jobs(db, places, batch) for batch in jobs]

    told = [one.queue_position for batch in stored for one in batch if isinstance(one, Stored)]
    assert told == list(range(1, 16))


async def test_who_comes_in_the_moment_the_last_transaction_ends_is_not_forgotten(
    db: Database, places: Places, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "_WRITERS", 1)
    submitter = Submitter(db, places, bus, most=1, most_bytes=PLENTY)

    async with asyncio.timeout(10):
        for name in ("one", "two", "three"):  # each runs right after the one before has ended
            assert (await submitter.submit(new_job(name))).is_new


async def test_what_is_done_for_many_is_done_in_the_name_of_none(
    db: Database, places: Places, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = []

    async def watched(
        database: Database, places: Places, jobs: Sequence[NewJob]
    ) -> list[Stored | ServiceError]:
        origins.append(current_origin())
        return await store_jobs(database, places, jobs)

    monkeypatch.setattr(submitting, "store_jobs", watched)
    submitter = Submitter(db, places, bus, most=8, most_bytes=PLENTY)
    with coming_from(Origin("who came first")):
        stored = await submitter.submit(new_job("one"))

    assert stored.job.origin == Origin("who came first")
    assert origins == [Origin()]

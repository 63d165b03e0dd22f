"""Places in the queue: as they are for the first jobs, near enough behind, whatever happens to it.

Marks are made of every 4th job here, so that forty jobs are a long queue.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.jobs import places as module
from optimized_tsp.jobs.leases import claim_next
from optimized_tsp.jobs.lists import Filters, list_jobs
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.queue import find_queue
from optimized_tsp.jobs.repository import Scope, find_job
from optimized_tsp.jobs.storing import Stored, store_jobs
from tests.jobs.conftest import Submit
from tests.jobs.test_submitting import new_job

EVERY = 4
SCOPE = Scope(DEFAULT_TENANT_ID, "tsp", "v1")
TENANT = UUID("01980000-0000-7000-8000-000000000002")

_ADD = text(
    """
    INSERT INTO jobs (id, tenant_id, solver, version, status, tags, parameters, timeout_s,
                      instance_digest, last_seq)
    SELECT added.id, CASE WHEN number % 3 = 0 THEN CAST(:other AS uuid) ELSE tenant_id END,
           solver, version, 'Submitted', '{}', parameters, timeout_s, instance_digest, 1
    FROM (SELECT * FROM jobs LIMIT 1) AS job,
         unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS added (id, number)
    """
)
_CANCEL = text(
    "UPDATE jobs SET status = 'Cancelled', completed_at = now()"
    " WHERE id = ANY (CAST(:ids AS uuid[]))"
)
_WAITING = text("SELECT id FROM jobs WHERE status = 'Submitted' ORDER BY id")
_READ = text(
    """
    SELECT CAST(seq_tup_read + index.idx_tup_read AS bigint)
    FROM pg_stat_user_tables AS jobs JOIN pg_stat_user_indexes AS index USING (relid)
    WHERE jobs.relname = 'jobs' AND indexrelname = 'jobs_queue_idx'
    """
)


@pytest.fixture
async def marked(db: Database) -> AsyncIterator[Places]:
    """Places that are told by marks."""
    places = Places(db, every=EVERY)
    yield places
    await places.close()


@pytest.fixture
async def queue(db: Database, submit: Submit) -> list[UUID]:
    """Forty waiting jobs, one in three of another tenant, next one first."""
    return [await submit(), *await added(db, 39)]


async def added(db: Database, count: int) -> list[UUID]:
    ids = [new_id() for _ in range(count)]
    await db.alone(_ADD, {"ids": ids, "other": TENANT})
    return ids


async def cancel(db: Database, jobs: Iterable[UUID]) -> None:
    await db.alone(_CANCEL, {"ids": list(jobs)})


async def claim(db: Database, count: int) -> None:
    for _ in range(count):
        assert await claim_next(db, worker="w", lease_s=60) is not None


async def true_places(db: Database) -> dict[UUID, int]:
    return {row.id: place for place, row in enumerate(await db.alone(_WAITING, {}), start=1)}


async def assert_near(db: Database, told: dict[UUID, int], before: dict[UUID, int]) -> None:
    """The first are as they are, others between that and what they were; none is told twice."""
    true = await true_places(db)
    for job_id, place in true.items():
        if place <= EVERY:
            assert told[job_id] == place
        else:
            assert EVERY < place <= told[job_id] <= before[job_id]
    assert sorted(told.values()) == [told[job_id] for job_id in sorted(told)]
    assert len(set(told.values())) == len(told)


async def test_every_place_is_told_whether_asked_alone_or_with_others(
    marked: Places, queue: list[UUID]
) -> None:
    expected = {job_id: place for place, job_id in enumerate(queue, start=1)}
    source = random.Random(3)
    for _ in range(2):  # by counting from the beginning, then by marks
        assert await marked.of(queue) == expected
        for job_id in queue:
            assert await marked.of([job_id]) == {job_id: expected[job_id]}
        for _ in range(20):
            some = source.sample(queue, 5)
            assert await marked.of(some) == {job_id: expected[job_id] for job_id in some}
        await marked.renew()
    assert await marked.of([]) == {}


async def test_jobs_that_came_after_the_marks_have_their_place_at_once(
    db: Database, marked: Places, queue: list[UUID]
) -> None:
    await marked.renew()

    late = await added(db, 9)
    stored = await store_jobs(db, marked, [new_job("a"), new_job("b")])

    assert list((await marked.of(late)).values()) == list(range(41, 50))
    assert [one.queue_position for one in stored if isinstance(one, Stored)] == [50, 51]
    assert (await marked.of([late[-1], queue[0]])) == {queue[0]: 1, late[-1]: 49}


@pytest.mark.parametrize("claimed", [1, 3, 4, 5, 17, 36, 38])
async def test_after_claims_the_first_are_right_and_the_others_near(
    db: Database, marked: Places, queue: list[UUID], claimed: int
) -> None:
    await marked.renew()
    before = await marked.of(queue)
    await claim(db, claimed)

    await assert_near(db, await marked.of(queue[claimed:]), before)
    alone = {job_id: (await marked.of([job_id]))[job_id] for job_id in queue[claimed:]}
    await assert_near(db, alone, before)

    await marked.renew()
    assert await marked.of(queue[claimed:]) == await true_places(db)


@pytest.mark.parametrize("seed", range(5))
async def test_after_cancels_the_first_are_right_and_the_others_near(
    db: Database, marked: Places, queue: list[UUID], seed: int
) -> None:
    source = random.Random(seed)
    await marked.renew()
    before = await marked.of(queue)
    gone = set(source.sample(queue, source.randrange(5, 35)))
    await cancel(db, gone)
    left = [job_id for job_id in queue if job_id not in gone]

    await assert_near(db, await marked.of(left), before)

    await marked.renew()
    assert await marked.of(left) == await true_places(db)


async def test_the_first_after_everything_was_cancelled_is_next(
    db: Database, marked: Places, queue: list[UUID]
) -> None:
    await marked.renew()
    await cancel(db, queue)

    (stored,) = await store_jobs(db, marked, [new_job("alone")])

    assert isinstance(stored, Stored)
    assert stored.queue_position == 1
    assert await marked.of([stored.job_id]) == {stored.job_id: 1}


async def test_a_job_that_is_given_back_is_first_again(
    db: Database, marked: Places, queue: list[UUID]
) -> None:
    await claim(db, 1)
    await marked.renew()
    await db.alone(
        text(
            "UPDATE jobs SET status = 'Submitted', lease_until = NULL, leased_by = NULL"
            " WHERE status = 'Running'"
        ),
        {},
    )

    told = await marked.of(queue)

    assert [told[job_id] for job_id in queue[:EVERY]] == [1, 2, 3, 4]
    assert list(told.values()) == sorted(told.values())
    assert all(abs(told[job_id] - place) <= 1 for job_id, place in (await true_places(db)).items())


async def test_who_was_just_taken_has_the_place_it_had(
    db: Database, places: Places, queue: list[UUID]
) -> None:
    await claim(db, 2)  # after a page of them was read

    assert await places.of(queue[:4]) == {queue[n]: n + 1 for n in range(4)}


async def test_a_view_a_list_the_queue_and_an_answer_tell_the_same(
    db: Database, marked: Places, queue: list[UUID]
) -> None:
    await marked.renew()
    await claim(db, 2)
    await cancel(db, queue[9:12])
    (stored,) = await store_jobs(db, marked, [new_job("new")])

    listed = await list_jobs(db, marked, SCOPE, Filters(), before=None, limit=200)
    waiting = {job.task_id: job.queue_position for job in listed if job.queue_position is not None}

    assert len(waiting) == 24  # those of the other tenant count, but are not listed
    for job_id, place in waiting.items():
        assert (await find_job(db, marked, SCOPE, job_id)).queue_position == place
    shown = (await find_queue(db, marked, SCOPE, limit=200)).jobs
    assert {job.task_id: job.queue_position for job in shown} == waiting
    assert isinstance(stored, Stored)
    assert waiting[stored.job_id] == stored.queue_position


async def test_marks_are_made_anew_while_somebody_asks_about_a_long_queue(
    db: Database, marked: Places, queue: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FEW", 20)
    monkeypatch.setattr(module, "_RENEWED_S", 0.01)
    await marked.of(queue)  # counts all of them: marks are made
    async with asyncio.timeout(10):
        while marked.before(queue[-1]).place < 40:
            await db.alone(_WAITING, {})
    await cancel(db, queue[10:20])

    async with asyncio.timeout(10):
        while await marked.of(queue[-1:]) != {queue[-1]: 30}:
            pass


async def test_a_short_queue_needs_no_marks(places: Places, queue: list[UUID]) -> None:
    for _ in range(3):
        await places.of(queue)

    assert places.before(queue[-1]).place == 0
    assert places._renewal is None


async def test_old_marks_are_not_used(
    db: Database, marked: Places, queue: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    await marked.renew()
    await cancel(db, queue[10:20])
    monkeypatch.setattr(module, "_KEPT_S", 0.0)
    monkeypatch.setattr(marked, "_pause_s", 0.0)

    assert await marked.of(queue[20:]) == {
        job_id: place for job_id, place in (await true_places(db)).items() if place > 10
    }


async def test_marks_that_cannot_be_made_are_told_of_and_places_are_told_all_the_same(
    marked: Places, queue: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MARKS", text("SELECT CAST(:every AS integer) / 0 AS id"))

    with capture_logs() as logs:
        await marked.renew()

    assert [line["event"] for line in logs] == ["queue_not_counted"]
    assert await marked.of(queue[-1:]) == {queue[-1]: 40}


async def test_places_in_a_long_queue_read_little_of_it(
    db: Database, database_url: str, submit: Submit, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submit()
    await added(db, 1_000)
    for number in range(10):  # Postgres keeps its plan of now, when the queue is short
        await store_jobs(db, places, [new_job(str(number))])
    long = await added(db, 20_000)
    await places.renew()
    monkeypatch.setattr(places, "_due_at", float("inf"))

    for number in range(20):
        (stored,) = await store_jobs(db, places, [new_job(str(number))])
        assert isinstance(stored, Stored)
        assert stored.queue_position == 21_012 + number
    page = await places.of(long[-50:])
    assert list(page.values()) == list(range(20_962, 21_012))

    await db.close()  # its connections tell what they have read when they end
    other = Database(database_url, application_name="tests")
    try:
        read = await until_told(other, 21_000)  # for the marks
    finally:
        await other.close()
    # While it was short all of it; then the first, and some after a mark.
    assert read < 21_000 + 10 * 1_300 + 21 * 800


async def until_told(db: Database, least: int) -> int:
    """How much of the index of what waits was read, once it is so much."""
    read = 0
    async with asyncio.timeout(20):
        while read < least:
            await asyncio.sleep(0.05)
            ((read,),) = await db.alone(_READ, {})
    return read

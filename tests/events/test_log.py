"""Feed positions: given after commit, never skipped, held up by nobody."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from sqlalchemy import func, select, text, update

from optimized_tsp.core.database import Database
from optimized_tsp.events.log import (
    feed_range,
    prune_events,
    sequence,
)
from optimized_tsp.events.models import Event
from tests.events.conftest import Source, append, read_on


async def test_an_event_committed_late_comes_after_those_already_read(db: Database) -> None:
    # Given an open transaction that took its number first, and another that committed before it
    late, early = Source(), Source()
    async with db.write() as open_transaction:
        await late.append(open_transaction)
        await open_transaction.flush()
        await append(db, early)
        async with db.read() as session:
            (early_id,) = await session.scalars(select(Event.id))
        # When a reader reads before the first commits
        (first,) = await read_on(db)
    # Then nothing is lost: the late one comes next
    (second,) = await read_on(db, first.position)
    async with db.read() as session:
        late_id = await session.scalar(select(func.min(Event.id)))
    assert late_id is not None
    assert late_id < early_id
    assert [first.task_id, second.task_id] == [early.id, late.id]


async def test_a_long_transaction_elsewhere_delays_nothing(db: Database) -> None:
    source = Source()
    async with db.write() as unrelated:
        await unrelated.execute(text("SELECT pg_current_xact_id()"))
        for _ in range(3):
            await append(db, source)
        assert [event.seq for event in await read_on(db)] == [1, 2, 3]


async def test_a_transaction_rolled_back_leaves_no_trace(db: Database) -> None:
    kept, lost = Source(), Source()
    async with db.write() as session:
        await lost.append(session)
        await session.flush()
        await append(db, kept)
        await session.rollback()
    assert [event.task_id for event in await read_on(db)] == [kept.id]


async def test_events_of_a_job_keep_their_order_when_many_wait(db: Database) -> None:
    # Given more waiting events than one statement gives positions to, of jobs in turn
    count = 5100
    async with db.write() as session:
        await session.execute(
            text(
                """
                INSERT INTO events
                    (job_id, seq, type, tenant_id, solver, version, tags, data)
                SELECT uuid_in(lpad(to_hex(7 - n % 7), 32, '0')::cstring), n / 7 + 1,
                    'job.bound', :tenant, 'tsp', 'v1', '{}', '{}'
                FROM generate_series(0, :last) AS n
                """
            ),
            {"tenant": Source().tenant_id, "last": count - 1},
        )
    # When they are read
    events = await read_on(db)
    # Then all are there, and each job's are in order
    assert len(events) == count
    for job_id in {event.task_id for event in events}:
        seqs = [event.seq for event in events if event.task_id == job_id]
        assert seqs == list(range(1, len(seqs) + 1))


async def test_readers_that_only_move_on_see_every_event_once(db: Database) -> None:
    # Given writers whose transactions commit in any order
    rng = random.Random(20)
    sources = [Source() for _ in range(8)]

    async def write(source: Source) -> None:
        for _ in range(25):
            async with db.write() as session:
                await source.append(session)
                await session.flush()
                await asyncio.sleep(rng.random() * 0.01)

    writing = asyncio.gather(*(write(source) for source in sources))
    # When two readers read on, each giving positions as it goes
    seen: tuple[list[tuple[object, int]], list[tuple[object, int]]] = ([], [])

    async def read(into: list[tuple[object, int]]) -> None:
        position = 0
        while len(into) < 200:
            for event in await read_on(db, position, limit=7):
                position = event.position
                into.append((event.task_id, event.seq))

    await asyncio.wait_for(asyncio.gather(writing, *map(read, seen)), timeout=60)
    # Then both saw everything once, in the same order, and each job's events in order
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 200
    for source in sources:
        assert [seq for job, seq in seen[0] if job == source.id] == list(range(1, 26))


async def test_pruning_moves_the_oldest_cursor_and_keeps_the_newest(db: Database) -> None:
    # Given three old events and two young ones
    source = Source()
    for _ in range(5):
        await append(db, source)
    events = await read_on(db)
    async with db.write() as session:
        await session.execute(
            update(Event).where(Event.seq <= 3).values(at=func.now() - timedelta(days=10))
        )
    # When events are pruned
    async with db.write() as session:
        assert await prune_events(session, keep=timedelta(days=7)) == 3
    # Then the old cursors have expired and the rest is as before
    async with db.read() as session:
        kept = await feed_range(session)
    assert (kept.oldest, kept.newest) == (events[2].position, events[4].position)
    assert await read_on(db, kept.oldest) == events[3:]
    async with db.write() as session:
        assert await prune_events(session, keep=timedelta(days=7)) == 0


async def test_an_emptied_feed_keeps_its_place(db: Database) -> None:
    source = Source()
    await append(db, source)
    (event,) = await read_on(db)
    await append(db, source)
    async with db.write() as session:
        assert await prune_events(session, keep=timedelta(0)) == 1
    async with db.read() as session:
        kept = await feed_range(session)
    assert (kept.head, kept.newest) == (event.position, event.position)
    # and an event that had no position yet is still to come
    assert [event.seq for event in await read_on(db, event.position)] == [2]


async def test_a_new_feed_starts_at_nothing(db: Database) -> None:
    await sequence(db)
    async with db.read() as session:
        kept = await feed_range(session)
    assert (kept.oldest, kept.head, kept.newest) == (0, 0, 0)

"""Many clients that come back together: read once, and nothing missed at the edges of memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from optimized_tsp.core.context import Origin, coming_from
from optimized_tsp.core.database import Database
from optimized_tsp.core.errors import ServiceUnavailable
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.events.bus import Bus
from optimized_tsp.events.filter import EventFilter, Wanted
from optimized_tsp.events.log import events_after, prune_events
from optimized_tsp.live import history
from optimized_tsp.live.feed import Feed
from optimized_tsp.live.history import History
from optimized_tsp.live.outbox import Batch, Outbox
from optimized_tsp.live.subscription import CursorExpired
from tests.live.conftest import Jobs, Server, client_of

Seen = list[tuple[UUID, int]]


class Nowhere:
    """A client that takes nothing directly."""

    def write(self, batch: Batch) -> bool:
        del batch
        return False


@pytest.fixture
async def feed(jobs: Jobs, redis_url: str) -> AsyncIterator[Feed]:
    """A feed that nobody has asked anything yet, as after a restart."""
    bus = Bus(redis_url)
    yield Feed(jobs.database, bus)
    await bus.close()


@contextmanager
def counted(database: Database) -> Iterator[Counter[str]]:
    """How often each statement was executed."""
    statements = Counter[str]()

    def count(_: object, __: object, statement: str, *___: object) -> None:
        statements[statement] += 1

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    yield statements
    event.remove(engine, "before_cursor_execute", count)


async def come_back(feed: Feed, after: int = 0, task_id: UUID | None = None) -> Seen:
    """What one client is sent that resumes after `after`: whose history ends where it joins."""
    now = (await feed.now()).head
    wanted = Wanted(feed.shared(EventFilter(DEFAULT_TENANT_ID, task_id=task_id)), after)
    upto = feed.join(Outbox(wanted, Nowhere()), after=after, now=now)
    seen = []
    async for batches in feed.replay(wanted, after=after, upto=upto):
        seen += [(f.task_id, f.position) for batch in batches for f in batch.frames]
    return seen


async def test_a_thousand_who_come_back_cost_a_few_queries(feed: Feed, jobs: Jobs) -> None:
    # Given events that all of them missed
    ids = [await jobs.submit() for _ in range(3)]
    for job in ids:
        await jobs.happen(job, 300)
    # When they come back together
    with counted(jobs.database) as statements:
        seen = await asyncio.gather(*(come_back(feed) for _ in range(1000)))
    # Then all get all of it, for what one alone would cost
    assert all(one == seen[0] for one in seen)
    assert [position for _, position in seen[0]] == sorted({p for _, p in seen[0]})
    assert Counter(job for job, _ in seen[0]) == dict.fromkeys(ids, 301)
    assert statements.total() <= 12


async def test_each_gets_what_it_asked_for_from_where_it_was(feed: Feed, jobs: Jobs) -> None:
    one, other = await jobs.submit(), await jobs.submit()
    await jobs.happen(one, 3)
    await jobs.happen(other, 3)
    everything = await come_back(feed)
    assert await come_back(feed, after=everything[4][1]) == everything[5:]
    with counted(jobs.database) as statements:
        narrowed = await come_back(feed, after=everything[1][1], task_id=one)
    assert narrowed == [(job, at) for job, at in everything[2:] if job == one]
    assert not [statement for statement in statements if "events.data" in statement]


async def test_what_memory_does_not_hold_is_read_from_postgres(
    feed: Feed, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more events than are kept in memory, in pages of a few
    monkeypatch.setattr(history, "MAX_EVENTS", 100)
    monkeypatch.setattr(history, "_PAGE", 30)
    monkeypatch.setattr("optimized_tsp.live.feed._PAGE", 70)
    job = await jobs.submit()
    await jobs.happen(job, 400)
    head = (await feed.now()).head
    # When clients come from before, at and behind its edge
    for missed in (401, 101, 100, 99, 31, 30, 1, 0):
        after = head - missed
        # Then none of them misses anything or sees it twice
        assert [at for _, at in await come_back(feed, after=after)] == [*range(after + 1, head + 1)]


async def test_the_oldest_are_forgotten(
    jobs: Jobs, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_EVENTS", 50)
    monkeypatch.setattr(history, "_PAGE", 10)
    job = await jobs.submit()
    await jobs.happen(job, 199)
    await feed.now()
    kept = History(feed.reading)
    async with jobs.database.read() as session:
        events = await events_after(session, 0, limit=500)
    for start in range(0, 200, 5):
        # read again, as after an error: what is there already is passed over
        kept.add(events[max(0, start - 5) : start + 5])
        assert kept.end == events[start + 4].position
        assert len(kept._events) <= 60
        assert [e.position for e in kept._events] == [*range(kept.start + 1, kept.end + 1)]
    assert kept.start >= 140


async def test_what_was_pruned_is_not_passed_over_in_silence(feed: Feed, jobs: Jobs) -> None:
    job = await jobs.submit()
    await jobs.happen(job, 10)
    now = (await feed.now()).head
    wanted = Wanted(feed.shared(EventFilter(DEFAULT_TENANT_ID)), 0)
    upto = feed.join(Outbox(wanted, Nowhere()), after=0, now=now)
    async with jobs.database.write() as session:
        await prune_events(session, keep=timedelta(0))
    with pytest.raises(CursorExpired):
        await anext(feed.replay(wanted, after=0, upto=upto))


async def test_what_happened_while_nobody_listened_is_not_missing(
    server: Server, jobs: Jobs
) -> None:
    # Given a client that saw something and left
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe(after="0")
        await jobs.happen(job, 2)
        assert await client.seqs(3) == [1, 2, 3]
        cursor = client.cursor
    # When more happens, and others come before it is back
    await jobs.happen(job, 2)
    async with client_of(server) as other, client_of(server) as client:
        await other.subscribe()
        await jobs.happen(job)
        assert await other.seqs(1) == [6]
        await client.subscribe(after=cursor)
        # Then it gets what it missed
        assert await client.seqs(3) == [4, 5, 6]


async def test_a_look_for_many_that_fails_names_none_of_their_requests(
    redis_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing", application_name="tests")
    bus = Bus(redis_url)

    with coming_from(Origin("of one of many")), pytest.raises(ServiceUnavailable):
        await Feed(nowhere, bus).now()

    [warning] = capfd.readouterr().out.splitlines()
    assert "feed_cannot_replay" in warning
    assert "of one of many" not in warning
    await bus.close()
    await nowhere.close()

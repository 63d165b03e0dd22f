"""The event log: append with the change, give positions after commit, read from a position.

A number taken inside a transaction is no safe place to resume from: a later number may be committed
first, and a reader that saw it would skip the earlier one for ever. So events get their feed
position *after* commit, by whoever reads next, under one lock: the order of positions is an order
in which events became visible, nothing can appear below a position already handed out, and a long
transaction elsewhere holds up nobody (docs/decisions/0004-feed-positions.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select, text

from optimized_tsp.core.database import Database, ReadSession, WriteSession
from optimized_tsp.events.filter import Wanted
from optimized_tsp.events.models import Event
from optimized_tsp.events.types import JobEvent

__all__ = [
    "EVENT_COLUMNS",
    "FeedPage",
    "FeedRange",
    "events_after",
    "events_of_job",
    "feed_range",
    "first_seq",
    "last_events",
    "prune_events",
    "replay_page",
    "sequence",
]

_SEQUENCED_AT_ONCE = 5000
_PRUNED_AT_ONCE = 10_000

# Any constant will do; it only has to be the same in every process.
_FEED_LOCK = 0x7473705F66656564

_ANY_UNSEQUENCED = text("SELECT EXISTS (SELECT FROM events WHERE position IS NULL)")

# One statement, so that a process frozen at the wrong moment cannot sit on the lock. Each query of
# the block sees what was committed before that query began, so none of them misses what the holder
# of the lock before us did. Within a job `id` rises with `seq` (both are taken under the job's row
# lock): ordering by it keeps every job's events in order whatever the clocks say.
_SEQUENCE = text(
    f"""
    DO $$
    BEGIN
        PERFORM pg_advisory_xact_lock({_FEED_LOCK});
        WITH pending AS MATERIALIZED (
            SELECT id, job_id, seq FROM events
            WHERE position IS NULL ORDER BY id LIMIT {_SEQUENCED_AT_ONCE}
        ), placed AS MATERIALIZED (
            SELECT job_id, seq, nextval('feed_positions') AS position
            FROM (SELECT * FROM pending ORDER BY id) AS ordered
        )
        UPDATE events SET position = placed.position
        FROM placed WHERE events.job_id = placed.job_id AND events.seq = placed.seq;
    END $$
    """  # noqa: S608 - constants of ours
)

_RANGE = text(
    """
    SELECT oldest, greatest(oldest, (SELECT max(position) FROM events)) AS head, newest
    FROM (SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS newest,
                 coalesce((SELECT pruned_through FROM feed_retention), 0) AS oldest
          FROM feed_positions) AS kept
    """
)

# Everything before the first event that is young enough, in steps of bounded size. The lock keeps
# `sequence` and other prunings out; readers see the mark and the gap appear together.
_PRUNE = text(
    """
    WITH old AS MATERIALIZED (
        SELECT position FROM events
        WHERE position > coalesce((SELECT pruned_through FROM feed_retention), 0)
          AND position < coalesce(
              (SELECT min(position) FROM events WHERE at >= now() - CAST(:keep AS interval)),
              (SELECT max(position) FROM events) + 1)
        ORDER BY position LIMIT :limit
    ), mark AS (
        INSERT INTO feed_retention (pruned_through)
        SELECT max(position) FROM old HAVING count(*) > 0
        ON CONFLICT (one_row) DO UPDATE SET pruned_through = excluded.pruned_through
    )
    DELETE FROM events USING old WHERE events.position = old.position
    RETURNING events.position
    """
)


EVENT_COLUMNS = "job_id, seq, type, tenant_id, solver, version, tags, data"
"""What whoever appends an event has to say (`webhooks.outbox`); the rest is given by the table."""


@dataclass(frozen=True, slots=True)
class FeedRange:
    """The positions a cursor may stand for: below `oldest` events are gone, above `newest` none
    was ever given. `head` is that of the newest event; what is sequenced later gets a higher one.
    """

    oldest: int
    head: int
    newest: int


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Wanted events of one page; all of them up to and including the position `end`."""

    events: list[JobEvent]
    end: int


async def sequence(database: Database) -> None:
    """Give every event that was committed before this call its feed position."""
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        while await connection.scalar(_ANY_UNSEQUENCED):
            await connection.execute(_SEQUENCE)


async def feed_range(session: ReadSession) -> FeedRange:
    """Which positions can be resumed from, and where the feed is."""
    row = (await session.execute(_RANGE)).one()
    return FeedRange(oldest=row.oldest, head=row.head, newest=row.newest)


async def events_after(session: ReadSession, position: int, *, limit: int) -> list[JobEvent]:
    """Events after `position` in feed order, of all jobs and tenants."""
    return await _read(session, [Event.position > position], Event.position, limit)


async def last_events(session: ReadSession, *, after: int, upto: int, limit: int) -> list[JobEvent]:
    """The last events with `after` < position <= `upto` in feed order, of all jobs and tenants."""
    conditions = [Event.position > after, Event.position <= upto]
    events = await _read(session, conditions, Event.position.desc(), limit)
    return events[::-1]


async def events_of_job(
    session: ReadSession, job_id: object, *, after_seq: int, limit: int
) -> list[JobEvent]:
    """Sequenced events of one job after `after_seq`, in order."""
    conditions = [Event.job_id == job_id, Event.seq > after_seq, Event.position.is_not(None)]
    return await _read(session, conditions, Event.seq, limit)


async def first_seq(session: ReadSession, job_id: object, *, after_seq: int) -> int | None:
    """The first event of a job after `after_seq` that is still there, sequenced or not."""
    query = select(func.min(Event.seq)).where(Event.job_id == job_id, Event.seq > after_seq)
    return await session.scalar(query)


async def replay_page(
    session: ReadSession, wanted: Wanted, *, after: int, upto: int, limit: int
) -> FeedPage:
    """The next page of wanted events with `after` < position <= `upto`, at most `limit`.

    Reads at most `limit` events however few of them are wanted; call it again after `end`.
    """
    conditions = [Event.position > after, *wanted.conditions()]
    if wanted.task_id is not None:
        # One job's events are few and found by the primary key; by `seq` is in feed order too.
        conditions.append(Event.position <= upto)
        events = await _read(session, conditions, Event.seq, limit)
        return FeedPage(events, end=upto if len(events) < limit else events[-1].position)
    end = await session.scalar(
        select(Event.position)
        .where(Event.position > after, Event.position < upto)
        .order_by(Event.position)
        .offset(limit - 1)
        .limit(1)
    )
    end = upto if end is None else end
    conditions.append(Event.position <= end)
    return FeedPage(await _read(session, conditions, Event.position, limit), end=end)


async def prune_events(session: WriteSession, *, keep: timedelta) -> int:
    """Remove events older than `keep` from the start of the feed; returns how many were removed.

    Call it again (in a new transaction) until it returns 0.
    """
    await session.execute(select(func.pg_advisory_xact_lock(_FEED_LOCK)))
    removed = await session.execute(_PRUNE, {"keep": keep, "limit": _PRUNED_AT_ONCE})
    return len(removed.all())


async def _read(
    session: ReadSession, conditions: Sequence[ColumnElement[bool]], order: Any, limit: int
) -> list[JobEvent]:
    query = select(
        Event.type,
        Event.job_id,
        Event.solver,
        Event.version,
        Event.seq,
        Event.at,
        Event.position,
        Event.data,
        Event.tenant_id,
        Event.tags,
    )
    rows = await session.execute(query.where(*conditions).order_by(order).limit(limit))
    return [_event(row) for row in rows]


def _event(row: Row[Any]) -> JobEvent:
    return JobEvent(
        type=row.type,
        task_id=row.job_id,
        solver=row.solver,
        version=row.version,
        seq=row.seq,
        at=row.at,
        position=row.position,
        data=row.data,
        tenant_id=row.tenant_id,
        tags=row.tags,
    )

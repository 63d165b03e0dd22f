"""The event log: append with the change, give positions after commit, read from a position.

A number taken inside a transaction is no safe place to resume from: a later number may be committed
first, and a reader that saw it would skip the earlier one for ever. So events get their feed
position *after* commit, by whoever reads next, under one lock: the order of positions is an order
in which events became visible, nothing can appear below a position already handed out, and a long
transaction elsewhere holds up nobody (docs/decisions/0004-feed-positions.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select, text

from optimized_tsp.core.database import Database, ReadSession, WriteSession
from optimized_tsp.events.models import Event
from optimized_tsp.events.types import EventType, JobEvent

__all__ = ["append_event", "events_after", "events_of_job", "feed_head", "feed_tail", "sequence"]

# Any constant will do; it only has to be the same in every process.
_FEED_LOCK = 0x7473705F66656564

_ANY_UNSEQUENCED = text("SELECT 1 FROM events WHERE position IS NULL LIMIT 1")

# Within a job `id` rises with `seq` (both are taken under the job's row lock), so ordering by it
# keeps every job's events in order whatever the clocks say.
_SEQUENCE = text(
    """
    WITH pending AS MATERIALIZED (
        SELECT id, job_id, seq FROM events WHERE position IS NULL ORDER BY id LIMIT :limit
    ), placed AS MATERIALIZED (
        SELECT job_id, seq, nextval('feed_positions') AS position
        FROM (SELECT * FROM pending ORDER BY id) AS ordered
    )
    UPDATE events SET position = placed.position
    FROM placed WHERE events.job_id = placed.job_id AND events.seq = placed.seq
    """
)


def append_event(
    session: WriteSession,
    *,
    job: Any,
    seq: int,
    event_type: EventType,
    data: dict[str, Any],
) -> None:
    """Add an event of `job` (anything with the columns of a job) to the open transaction."""
    session.add(
        Event(
            job_id=job.id,
            seq=seq,
            type=event_type.value,
            tenant_id=job.tenant_id,
            solver=job.solver,
            version=job.version,
            tags=job.tags,
            data=data,
        )
    )


async def sequence(database: Database, *, limit: int = 5000) -> None:
    """Give every committed event that has none its feed position."""
    async with database.read() as session:
        if (await session.execute(_ANY_UNSEQUENCED)).first() is None:
            return
    async with database.write() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_FEED_LOCK)))
        await session.execute(_SEQUENCE, {"limit": limit})


async def feed_head(session: ReadSession) -> int:
    """The highest position given so far; 0 before the first."""
    head = await session.scalar(select(func.max(Event.position)))
    return int(head or 0)


async def feed_tail(session: ReadSession) -> int:
    """The lowest position still kept; 0 when there are no events."""
    tail = await session.scalar(select(func.min(Event.position)))
    return int(tail or 0)


async def events_after(session: ReadSession, position: int, *, limit: int) -> list[JobEvent]:
    """Events after `position` in feed order, of all jobs and tenants."""
    rows = await session.execute(
        _columns().where(Event.position > position).order_by(Event.position).limit(limit)
    )
    return _events(rows.all())


async def events_of_job(
    session: ReadSession, job_id: object, *, after_seq: int, limit: int
) -> list[JobEvent]:
    """Sequenced events of one job after `after_seq`, in order."""
    rows = await session.execute(
        _columns()
        .where(Event.job_id == job_id, Event.seq > after_seq, Event.position.is_not(None))
        .order_by(Event.seq)
        .limit(limit)
    )
    return _events(rows.all())


def _columns() -> Any:
    return select(
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


def _events(rows: Sequence[Row[Any]]) -> list[JobEvent]:
    return [
        JobEvent(
            type=EventType(row.type),
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
        for row in rows
    ]

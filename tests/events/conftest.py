"""A database, and jobs that are nothing but what an event takes from its job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.events.bus import Bus
from optimized_tsp.events.log import events_after, sequence
from optimized_tsp.events.types import EventType, JobEvent
from optimized_tsp.webhooks.outbox import NewEvent, append_events


@dataclass
class Source:
    """What an event takes from its job."""

    solver: str = "tsp"
    version: str = "v1"
    tags: dict[str, str] = field(default_factory=dict)
    tenant_id: UUID = DEFAULT_TENANT_ID
    id: UUID = field(default_factory=new_id)
    last_seq: int = 0

    async def append(self, session: WriteSession, **data: Any) -> None:
        """Add the job's next event to the open transaction."""
        self.last_seq += 1
        event = NewEvent(self, self.last_seq, EventType.INCUMBENT, data)
        await append_events(session, [event])


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=10, application_name="tests")
    yield database
    await database.close()


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    bus = Bus(redis_url)
    yield bus
    await bus.close()


async def append(db: Database, source: Source, **data: Any) -> None:
    """Append one event in a transaction of its own."""
    async with db.write() as session:
        await source.append(session, **data)


async def read_on(db: Database, position: int = 0, *, limit: int = 10_000) -> list[JobEvent]:
    """What a reader at `position` reads next."""
    await sequence(db)
    async with db.read() as session:
        return await events_after(session, position, limit=limit)

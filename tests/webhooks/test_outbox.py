"""What is owed is written with the event, to those who want it, and only then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import event, select, text

from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.events.types import EventType
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.outbox import NewEvent, append_events
from optimized_tsp.webhooks.repository import endpoint_of_url

OTHER_TENANT = new_id()


@dataclass
class Source:
    """What an event takes from its job."""

    solver: str = "tsp"
    version: str = "v1"
    tags: dict[str, str] = field(default_factory=dict)
    tenant_id: UUID = DEFAULT_TENANT_ID
    id: UUID = field(default_factory=new_id)


async def endpoint(db: Database, **columns: Any) -> UUID:
    values = {
        "id": new_id(),
        "tenant_id": DEFAULT_TENANT_ID,
        "url": "https://hooks.example.org/",
        "event_types": [EventType.COMPLETED.value],
    }
    async with db.write() as session:
        session.add(WebhookEndpoint(**(values | columns)))
        endpoint_id: UUID = (values | columns)["id"]  # type: ignore[assignment]
    return endpoint_id


async def happen(
    db: Database,
    source: Source,
    event_type: EventType = EventType.COMPLETED,
    endpoint_id: UUID | None = None,
) -> None:
    async with db.write() as session:
        await append_events(session, [NewEvent(source, 1, event_type, {"cost": 7}, endpoint_id)])


async def deliveries(db: Database) -> Sequence[WebhookDelivery]:
    async with db.read() as session:
        rows = await session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id))
        return rows.all()


WANTING: list[tuple[dict[str, Any], Source, bool]] = [
    ({}, Source(), True),
    ({"event_types": ["job.failed", "job.incumbent"]}, Source(), False),
    ({"solver": "tsp"}, Source(), True),
    ({"solver": "tsp"}, Source(version="v2_experimental"), True),
    ({"solver": "tsp", "version": "v1"}, Source(version="v2_experimental"), False),
    ({"solver": "knapsack"}, Source(), False),
    ({"tags": {"team": "north"}}, Source(tags={"team": "north", "day": "1"}), True),
    ({"tags": {"team": "north"}}, Source(tags={"team": "south"}), False),
    ({"tags": {"team": "north", "day": "1"}}, Source(tags={"team": "north"}), False),
    ({"tags": {}}, Source(), True),
    ({}, Source(tenant_id=OTHER_TENANT), False),
    ({"listed": False}, Source(), False),
    ({"disabled_at": text("now()")}, Source(), False),
]


async def test_an_event_is_owed_to_those_whose_filters_it_passes(db: Database) -> None:
    for columns, source, wanted in WANTING:
        endpoint_id = await endpoint(db, **columns)
        await happen(db, source)
        owed = [row for row in await deliveries(db) if row.endpoint_id == endpoint_id]
        assert len(owed) == wanted, columns
        async with db.write() as session:
            await session.execute(text("DELETE FROM webhook_deliveries"))
            await session.execute(text("DELETE FROM webhook_endpoints"))


async def test_an_event_of_a_job_with_a_url_is_owed_to_both(db: Database) -> None:
    listed = await endpoint(db)
    async with db.write() as session:
        bound = await endpoint_of_url(session, DEFAULT_TENANT_ID, "https://hooks.example.org/")
    source = Source()

    await happen(db, source, EventType.STARTED, bound)
    await happen(db, Source())
    assert [row.endpoint_id for row in await deliveries(db)] == [listed]

    await happen(db, Source(), EventType.COMPLETED, bound)
    assert {row.endpoint_id for row in await deliveries(db)} == {listed, bound}


async def test_a_transaction_rolled_back_owes_nothing(db: Database) -> None:
    await endpoint(db)
    async with db.write() as session:
        await append_events(session, [NewEvent(Source(), 1, EventType.COMPLETED, {})])
        await session.rollback()
    assert await deliveries(db) == []
    async with db.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM events")) == 0


async def test_ids_are_of_version_7_and_in_order_of_time(db: Database) -> None:
    await endpoint(db)
    before = new_id()
    for _ in range(3):
        async with db.write() as session:
            await session.execute(text("SELECT pg_sleep(0.002)"))
            await append_events(session, [NewEvent(Source(), 1, EventType.COMPLETED, {})])
    made = await deliveries(db)

    assert [row.id.version for row in made] == [7, 7, 7]
    assert {row.id.variant for row in made} == {before.variant}
    assert sorted(made, key=lambda row: row.created_at) == list(made)
    # The same clock as ours: a minute apart at most
    assert abs((made[0].id.int >> 80) - (before.int >> 80)) < 60_000


async def test_many_events_take_one_statement(db: Database) -> None:
    await endpoint(db)
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1

    async def append(session: WriteSession) -> None:
        jobs = [Source() for _ in range(50)]
        await append_events(session, [NewEvent(job, 1, EventType.COMPLETED, {}) for job in jobs])

    event.listen(db.engine.sync_engine, "before_cursor_execute", count)
    async with db.write() as session:
        await append(session)
    assert seen == 1
    assert len(await deliveries(db)) == 50

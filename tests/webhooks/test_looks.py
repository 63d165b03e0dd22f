"""Looks find all that can be attempted, and pass over what waits without asking it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text, update

from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.webhooks.claims import Claimed, Found, claim_due, give_back
from optimized_tsp.webhooks.looks import LOCK, LOOKED_AT, check_plans
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.schedule import FAILURES_UNTIL_PAUSED
from tests.stack import TestDatabase
from tests.webhooks.conftest import BOX, Outbox, now

LATER = timedelta(hours=1)


async def look(db: Database, most: int = 128, under_way: list[Claimed] | None = None) -> Found:
    async with db.write() as session:
        return await claim_due(session, BOX, most=most, lease_s=30, under_way=under_way or [])


async def endpoints(db: Database, number: int, at: str, **columns: Any) -> None:
    """So many, each owed one delivery that was seen."""
    values = {"host": "'h' || n || '.example.org'", "failures": 0, "paused": "NULL", **columns}
    async with db.write() as session:
        await session.execute(
            text(
                f"""
                INSERT INTO webhook_endpoints (id, tenant_id, url, listed, event_types,
                    consecutive_failures, paused_until, next_look_at)
                SELECT gen_random_uuid(), :tenant, 'https://' || {values["host"]} || '/' || n,
                    false, '{{}}', {values["failures"]}, {values["paused"]}, {at}
                FROM generate_series(1, {number}) AS n
                """  # noqa: S608 - constants of this test
            ),
            {"tenant": DEFAULT_TENANT_ID},
        )
        await session.execute(
            text(
                f"""
                INSERT INTO webhook_deliveries
                    (id, endpoint_id, event_type, payload, next_attempt_at, seen)
                SELECT gen_random_uuid(), id, 'job.completed', '{{}}', {at}, true
                FROM webhook_endpoints
                """  # noqa: S608 - constants of this test
            )
        )


async def pages_read(session: WriteSession, statement: TextClause, **given: Any) -> int:
    """Of tables and indexes."""
    explained = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}")
    binds = [bind for name, bind in statement._bindparams.items() if name in given]
    [found] = (await session.execute(explained.bindparams(*binds), given)).scalar_one()
    plan = found["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_endpoints_that_wait_are_not_asked(db: Database, database: TestDatabase) -> None:
    await endpoints(db, 3000, "now() + interval '1 hour'")
    owner = Database(database.owner_url, application_name="tests")
    async with owner.write() as session:  # as autovacuum does
        await session.execute(text("ANALYZE webhook_endpoints, webhook_deliveries"))
    await owner.close()
    async with db.write() as session:
        await session.execute(text("ANALYZE webhook_endpoints, webhook_deliveries"))
        read = await pages_read(session, LOCK, full_tenants=[], full_hosts=[], with_room=[new_id()])

    assert read < 30  # of the hundreds that these rows lie on


async def test_what_is_committed_after_a_look_is_found_by_the_next(
    db: Database, outbox: Outbox
) -> None:
    endpoint = await outbox.endpoint("https://a.example.org/")
    async with db.write() as session:
        late = WebhookDelivery(
            id=new_id(), endpoint_id=endpoint, event_type="job.completed", payload={}
        )
        session.add(late)
        await session.flush()
        [early] = await outbox.owe(endpoint)
        first = await look(db)  # plans for the endpoint, and cannot know of the other one
    second = await look(db)

    assert [claimed.id for claimed in first.claimed] == [early]
    assert [claimed.id for claimed in second.claimed] == [late.id]


async def test_an_endpoint_is_looked_at_when_its_next_delivery_is_due(
    db: Database, outbox: Outbox
) -> None:
    endpoint = await outbox.endpoint("https://a.example.org/")
    due = now() + LATER
    await outbox.owe(endpoint, next_attempt_at=due + LATER)
    await outbox.owe(endpoint, next_attempt_at=due)
    found = await look(db)

    assert (found.claimed, found.more) == ([], False)
    assert (await outbox.of(endpoint)).next_look_at == due


async def test_a_paused_endpoint_is_looked_at_when_its_pause_ends(
    db: Database, outbox: Outbox
) -> None:
    until = now() + LATER
    endpoint = await outbox.endpoint(
        "https://a.example.org/",
        consecutive_failures=FAILURES_UNTIL_PAUSED,
        failing_since=now(),
        paused_until=until,
    )
    await outbox.owe(endpoint, 3)
    found = await look(db)

    assert found.claimed == []
    assert (await outbox.of(endpoint)).next_look_at == until


async def test_what_is_owed_no_more_is_not_looked_at(db: Database, outbox: Outbox) -> None:
    endpoint = await outbox.endpoint("https://a.example.org/")
    await outbox.owe(endpoint, 3)
    found = await look(db)

    assert len(found.claimed) == 3
    assert (await outbox.of(endpoint)).next_look_at is None
    async with db.write() as session:
        await give_back(found.claimed, session=session)
    assert len((await look(db)).claimed) == 3


async def test_where_all_are_under_way_the_next_look_is_soon(db: Database, outbox: Outbox) -> None:
    endpoint = await outbox.endpoint("https://a.example.org/")
    await outbox.owe(endpoint, 9)
    await look(db)

    planned = (await outbox.of(endpoint)).next_look_at
    assert planned is not None
    assert timedelta(0) < planned - now() < timedelta(seconds=1.5)


async def test_one_behind_many_of_a_host_that_has_all_it_may_is_found(
    db: Database, outbox: Outbox
) -> None:
    await endpoints(db, 2 * LOOKED_AT, "now()", host="'dead.example.org'")
    async with db.write() as session:
        await session.execute(update(WebhookEndpoint).values(next_look_at=now() - LATER))
    other = await outbox.endpoint("https://other.example.org/")
    [owed] = await outbox.owe(other)

    under_way: list[Claimed] = []
    while (found := await look(db, 8 - len(under_way), under_way)).claimed:
        under_way += found.claimed

    assert owed in {claimed.id for claimed in under_way}
    assert len(under_way) < 8


async def test_who_answers_is_not_behind_those_who_fail(db: Database, outbox: Outbox) -> None:
    await endpoints(db, 2 * LOOKED_AT, "now() - interval '1 hour'", failures=1)
    await endpoints_due(db, await outbox.endpoint("https://other.example.org/"), outbox)

    found = await look(db, most=1)

    assert [claimed.endpoint.url for claimed in found.claimed] == ["https://other.example.org/"]
    assert found.more


async def endpoints_due(db: Database, endpoint: UUID, outbox: Outbox) -> None:
    """Owed something that was seen long ago."""
    at: datetime = now()
    await outbox.owe(endpoint, seen=True)
    async with db.write() as session:
        await session.execute(
            update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint).values(next_look_at=at)
        )


async def test_what_others_changed_is_found_by_checking(db: Database, outbox: Outbox) -> None:
    made = [await outbox.endpoint(f"https://{n}.example.org/") for n in range(3)]
    for endpoint in made:
        await outbox.owe(endpoint, seen=True)
    assert (await look(db)).claimed == []

    async with db.write() as session:
        after = await check_plans(session, UUID(int=0))
        assert after == max(made)
        assert await check_plans(session, after) == UUID(int=0)
    assert len((await look(db)).claimed) == 3

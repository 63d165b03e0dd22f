"""When receivers fail: what they ask for, when they are left alone, and what others feel of it."""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from sqlalchemy import update

from optimized_tsp.core.database import Database
from optimized_tsp.webhooks.claims import AT_ONCE_PER_ENDPOINT, claim_due
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.schedule import FAILURES_UNTIL_PAUSED, Schedule
from tests.promises import promised
from tests.webhooks import receiver as strangers
from tests.webhooks.conftest import BOX, Deliver, Outbox, delivered, ended, now
from tests.webhooks.receiver import Behaviour, answer, receiver


async def test_gone_disables_the_endpoint_and_ends_what_it_is_owed(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer(410)) as stranger:
        endpoint = await outbox.endpoint(stranger.url())
        await outbox.owe(endpoint)
        await outbox.owe(endpoint, 5, next_attempt_at=now() + timedelta(hours=1))
        deliver()
        await outbox.until(ended)
        await outbox.owe(endpoint)  # by somebody who did not see it yet
        rows = await outbox.until(ended)

    row = await outbox.of(endpoint)
    assert row.disabled_at is not None
    assert row.disabled_reason == "The receiver answered 410 Gone."
    assert len(stranger.received) == 1
    assert all(row.failed_at is not None for row in rows.values())


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_holds_for_the_delivery_and_for_the_endpoint(
    outbox: Outbox,
    deliver: Deliver,
    as_date: bool,  # noqa: FBT001
) -> None:
    wait, not_before = "1", 0.0
    if as_date:
        at = now().replace(microsecond=0) + timedelta(seconds=2)
        wait, not_before = format_datetime(at, usegmt=True), at.timestamp()
    async with receiver(answer(429, f"Retry-After: {wait}")) as stranger:
        endpoint = await outbox.endpoint(stranger.url())
        await outbox.owe(endpoint)
        deliver()
        await outbox.until(lambda row: row.attempts == 1)
        stranger.behaviour = answer(200)
        await outbox.owe(endpoint)
        await outbox.until(delivered)

    first, *later = stranger.received
    assert len(later) == 2
    if as_date:
        off = time.time() - time.monotonic()
        assert all(request.at + off >= not_before - 0.05 for request in later)
    else:
        assert all(request.at - first.at >= 1 for request in later)


async def test_a_retry_after_that_is_no_date_changes_nothing(
    outbox: Outbox, deliver: Deliver
) -> None:
    absurd = "Sun, 22 Nov 99999999999999999999 06:01:00 GMT"
    async with receiver(answer(503, f"Retry-After: {absurd}")) as stranger:
        await outbox.owe(await outbox.endpoint(stranger.url()))
        deliver()
        [row] = (await outbox.until(ended)).values()

    assert (row.attempts, len(stranger.received)) == (10, 10)


async def test_a_dead_endpoint_is_left_alone_and_gets_everything_when_it_is_back(
    outbox: Outbox, deliver: Deliver, db: Database
) -> None:
    async with receiver(answer(500)) as stranger:
        endpoint = await outbox.endpoint(stranger.url())
        await outbox.owe(endpoint, 50)
        deliver(Schedule((60.0,) * 9))
        await stranger.until(lambda stranger: len(stranger.received) >= FAILURES_UNTIL_PAUSED)
        rows = await outbox.until(lambda row: row.lease_id is None)
        row = await outbox.of(endpoint)
        asked = len(stranger.received)
        stranger.behaviour = answer(200)
        async with db.write() as session:  # a minute later
            await session.execute(update(WebhookEndpoint).values(paused_until=now()))
            await session.execute(update(WebhookDelivery).values(next_attempt_at=now()))
        await outbox.until(delivered)

    assert asked < FAILURES_UNTIL_PAUSED + AT_ONCE_PER_ENDPOINT
    assert sum(row.attempts for row in rows.values()) == asked
    assert row.paused_until is not None
    assert row.failing_since is not None
    healed = await outbox.of(endpoint)
    assert (healed.consecutive_failures, healed.failing_since) == (0, None)
    assert healed.paused_until is None


async def test_an_endpoint_that_failed_often_is_asked_by_one_delivery_at_a_time(
    db: Database, outbox: Outbox
) -> None:
    failing: dict[str, Any] = {
        "consecutive_failures": FAILURES_UNTIL_PAUSED,
        "failing_since": now(),
    }
    await outbox.owe(await outbox.endpoint("https://a.example.org/", **failing), 10)
    await outbox.owe(await outbox.endpoint("https://b.example.org/"), 10)

    claimed = []
    for _ in range(2):
        async with db.write() as session:
            found = await claim_due(session, BOX, most=100, lease_s=30)
            claimed.append(found.claimed)

    urls = [each.endpoint.url for each in claimed[0]]
    assert urls.count("https://a.example.org/") == 1
    assert urls.count("https://b.example.org/") == AT_ONCE_PER_ENDPOINT
    assert claimed[1] == []  # while these are under way


async def test_what_a_silent_endpoint_kept_waiting_for_a_whole_schedule_fails(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer(500)) as stranger:
        long_ago = now() - timedelta(minutes=5)
        endpoint = await outbox.endpoint(
            stranger.url(), consecutive_failures=FAILURES_UNTIL_PAUSED, failing_since=long_ago
        )
        await outbox.owe(endpoint, 30, next_attempt_at=long_ago)
        fresh = await outbox.owe(endpoint, next_attempt_at=now() + timedelta(hours=1))
        deliver(Schedule((60.0,)))
        await outbox.until(lambda row: ended(row) or row.attempts or row.id in fresh)

    rows = await outbox.deliveries()
    failed = [row for row in rows.values() if row.failed_at is not None]
    assert len(failed) == 29  # all but the one that was tried and goes on by the schedule
    assert {row.last_error for row in failed} == {
        "The endpoint has not answered for as long as deliveries are tried."
    }
    assert not ended(rows[fresh[0]])


@pytest.mark.parametrize(
    "dead", [strangers.hang, strangers.drip_body, strangers.ten_gigabytes, strangers.reset]
)
async def test_a_dead_endpoint_keeps_nobody_else_waiting(
    outbox: Outbox, deliver: Deliver, dead: Behaviour
) -> None:
    async with receiver(dead) as bad, receiver(answer()) as good:
        await outbox.owe(await outbox.endpoint(bad.url()), 500)
        endpoints = [await outbox.endpoint(good.url(path=f"/{n}")) for n in range(10)]
        deliver(Schedule((1.0,)), timeout_s=15.0)
        await bad.until(lambda bad: bad.connections >= AT_ONCE_PER_ENDPOINT)
        with promised(2):
            for endpoint in endpoints:
                await outbox.owe(endpoint, 5)
            await good.until(lambda good: len(good.received) == 50)


async def test_a_disabled_endpoint_gets_nothing(outbox: Outbox, deliver: Deliver) -> None:
    async with receiver(answer()) as stranger:
        endpoint = await outbox.endpoint(stranger.url(), disabled_at=now())
        await outbox.owe(endpoint, 3)
        deliver()
        rows = await outbox.until(ended)

    assert stranger.connections == 0
    assert {row.last_error for row in rows.values()} == {"The endpoint is disabled."}

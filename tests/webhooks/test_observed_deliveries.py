"""Attempts are counted by their result, and are spans of the trace of their job."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.core.otlp import OtlpTracing
from optimized_tsp.core.totals import read_totals
from optimized_tsp.webhooks.backlog import Backlog, find_backlog
from optimized_tsp.webhooks.outbox import message_id
from optimized_tsp.webhooks.schedule import Schedule
from tests.webhooks.conftest import Deliver, Outbox, delivered, ended, now
from tests.webhooks.receiver import answer, receiver
from tests.worker.test_observed import Collector

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


async def test_attempts_are_counted_and_the_trace_is_passed_on(
    outbox: Outbox, deliver: Deliver, db: Database
) -> None:
    async with receiver(answer(500)) as stranger:
        await outbox.owe(await outbox.endpoint(stranger.url()))
        await be_traced(db)
        async with db.read() as session:
            due = await find_backlog(session)
        deliverer = deliver(Schedule((0.05,) * 9))
        await stranger.until(lambda stranger: len(stranger.received) >= 2)
        stranger.behaviour = answer(200)
        await outbox.until(delivered)
        await deliverer._tally.write(db)

    assert (due.pending, due.due, due.oldest_s >= 0) == (1, 1, True)
    assert due.oldest_pending_s >= 0
    assert {request.headers["traceparent"] for request in stranger.received} == {TRACEPARENT}
    async with db.read() as session:
        counted = {total.labels["result"]: total.value for total in await read_totals(session)}
        assert await find_backlog(session) == Backlog(0, 0.0, 0, 0.0)
    assert counted["delivered"] == 1
    assert counted["failed"] >= 2


async def be_traced(db: Database) -> None:
    """What is owed is of a job whose request had a trace."""
    async with db.write() as session:
        await session.execute(
            text(
                "UPDATE webhook_deliveries SET payload ="
                " jsonb_set(payload, '{data,traceparent}', to_jsonb(CAST(:it AS text)))"
            ),
            {"it": TRACEPARENT},
        )


async def test_what_waits_for_its_time_is_pending_and_not_due(db: Database, outbox: Outbox) -> None:
    endpoint = await outbox.endpoint("https://hooks.example.org/")
    await outbox.owe(endpoint, next_attempt_at=now() + timedelta(hours=1))
    async with db.read() as session:
        backlog = await find_backlog(session)
    assert (backlog.pending, backlog.due, backlog.oldest_s) == (1, 0, 0)


@pytest.mark.parametrize("status", [204, 500])
async def test_an_attempt_is_a_span_of_the_trace_of_its_job(
    outbox: Outbox, deliver: Deliver, db: Database, collector: Collector, status: int
) -> None:
    tracing = OtlpTracing(collector.endpoint, "tests")
    async with receiver(answer(status)) as stranger:
        endpoint = await outbox.endpoint(stranger.url(path="/token-in-the-path"))
        [owed] = await outbox.owe(endpoint)
        await be_traced(db)
        deliver(Schedule(()), tracing=tracing)
        await outbox.until(ended)
    await asyncio.to_thread(tracing.close)

    span = await asyncio.to_thread(collector.wait_for, "tests", "deliver job.completed")
    _, trace, request, _ = TRACEPARENT.split("-")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace, request)
    [arrived] = stranger.received  # the receiver goes on from the attempt
    assert arrived.headers["traceparent"] == f"00-{trace}-{span.span_id.hex()}-01"
    facts = {fact.key: fact.value for fact in span.attributes}
    assert facts["http.response.status_code"].int_value == status
    assert facts["webhook"].string_value == str(endpoint)
    assert facts["delivery"].string_value == message_id(owed)
    assert facts["job"].string_value == str(owed)
    assert (span.status.code == span.status.STATUS_CODE_ERROR) is (status == 500)
    assert "token" not in str(span)

"""Attempts are counted by their result; a receiver can go on with the trace of the job."""

from __future__ import annotations

from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.core.totals import read_totals
from optimized_tsp.webhooks.backlog import find_backlog
from optimized_tsp.webhooks.schedule import Schedule
from tests.webhooks.conftest import Deliver, Outbox, delivered
from tests.webhooks.receiver import answer, receiver

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_attempts_are_counted_and_the_trace_is_passed_on(
    outbox: Outbox, deliver: Deliver, db: Database
) -> None:
    async with receiver(answer(500)) as stranger:
        await outbox.owe(await outbox.endpoint(stranger.url()))
        async with db.write() as session:
            await session.execute(
                text(
                    "UPDATE webhook_deliveries SET payload ="
                    " jsonb_set(payload, '{data,traceparent}', to_jsonb(CAST(:it AS text)))"
                ),
                {"it": TRACEPARENT},
            )
        async with db.read() as session:
            due = await find_backlog(session)
        deliverer = deliver(Schedule((0.05,) * 9))
        await stranger.until(lambda stranger: len(stranger.received) >= 2)
        stranger.behaviour = answer(200)
        await outbox.until(delivered)
        await deliverer._tally.write(db)

    assert (due.due, due.oldest_s >= 0) == (1, True)
    assert {request.headers["traceparent"] for request in stranger.received} == {TRACEPARENT}
    async with db.read() as session:
        counted = {total.labels["result"]: total.value for total in await read_totals(session)}
        assert (await find_backlog(session)).due == 0
    assert counted["delivered"] == 1
    assert counted["failed"] >= 2

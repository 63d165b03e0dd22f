"""What is owed is delivered: at least once, under one id, whatever the receivers do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from sqlalchemy import update
from standardwebhooks import Webhook

from optimized_tsp.core.database import Database
from optimized_tsp.webhooks.address import AddressPolicy
from optimized_tsp.webhooks.claims import AT_ONCE_PER_ENDPOINT, claim_due
from optimized_tsp.webhooks.models import WebhookDelivery
from optimized_tsp.webhooks.outbox import message_id
from optimized_tsp.webhooks.schedule import Schedule
from optimized_tsp.webhooks.secrets import SecretBox
from tests.promises import promised
from tests.stack import READY_TIMEOUT_S, Servers
from tests.webhooks import receiver as strangers
from tests.webhooks.conftest import BOX, FAST, Deliver, Outbox, delivered, ended, now
from tests.webhooks.receiver import Behaviour, answer, receiver


async def test_what_is_owed_arrives_signed_and_is_recorded(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer(202)) as stranger:
        endpoint = await outbox.endpoint(stranger.url())
        [owed] = await outbox.owe(endpoint)
        deliver()
        row = (await outbox.until(delivered))[owed]

    [request] = stranger.received
    event = Webhook(outbox.secrets[endpoint]).verify(request.body, request.headers)
    assert event["type"] == "job.completed"
    assert event["data"]["task_id"] == str(owed)
    assert request.id == message_id(owed)
    assert request.headers["content-type"] == "application/json"
    assert (row.attempts, row.last_status, row.last_error, row.lease_id) == (1, 202, None, None)
    assert row.last_duration_s is not None
    assert 0 < row.last_duration_s < 1


async def test_a_receiver_that_recovers_gets_everything_under_the_same_ids(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer(500)) as stranger:
        owed = await outbox.owe(await outbox.endpoint(stranger.url()), 20)
        deliver(Schedule((0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)))
        await stranger.until(lambda stranger: len(stranger.received) >= 8)
        stranger.behaviour = answer(200)
        rows = await outbox.until(delivered)

    expected = {message_id(delivery_id) for delivery_id in owed}
    assert set(stranger.ids) == expected
    assert len({(request.id, request.body) for request in stranger.received}) == len(expected)
    assert all(row.last_error is None for row in rows.values())


async def test_after_the_last_attempt_the_failure_is_recorded(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer(503)) as stranger:
        endpoint = await outbox.endpoint(stranger.url())
        [owed] = await outbox.owe(endpoint)
        deliver()
        row = (await outbox.until(ended))[owed]

    assert row.failed_at is not None
    assert row.delivered_at is None
    assert (row.attempts, row.last_status) == (10, 503)
    assert row.last_error == "The receiver answered 503."
    assert stranger.ids == [message_id(owed)] * 10
    assert (await outbox.of(endpoint)).consecutive_failures == 10


@pytest.mark.parametrize(
    ("behaviour", "status", "error"),
    [
        (answer(500), 500, "The receiver answered 500."),
        (answer(404), 404, "The receiver answered 404."),
        (
            answer(302, "Location: http://127.0.0.1:9/"),
            302,
            "The receiver answered 302. Redirects are not followed.",
        ),
        (strangers.hang, None, "No answer within 0.3 s."),
        (strangers.drip_head, None, "No answer within 0.3 s."),
        (strangers.reset, None, "The connection was closed before an answer."),
        (strangers.not_http, None, "The answer was no HTTP response."),
    ],
)
async def test_a_hostile_receiver_is_told_its_owner_in_a_sentence(
    outbox: Outbox, deliver: Deliver, behaviour: Behaviour, status: int | None, error: str
) -> None:
    async with receiver(behaviour) as stranger:
        await outbox.owe(await outbox.endpoint(stranger.url()))
        deliver(Schedule(()), timeout_s=0.3)
        [row] = (await outbox.until(ended)).values()

    assert row.failed_at is not None
    assert (row.attempts, row.last_status, row.last_error) == (1, status, error)


async def test_an_address_that_is_not_public_is_a_failure_like_others(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer()) as stranger:
        await outbox.owe(await outbox.endpoint(stranger.url("localhost")))
        deliver(Schedule(()), policy=AddressPolicy(allow_http=True, networks=()))
        [row] = (await outbox.until(ended)).values()

    assert row.last_error == "The host is a local name; only names on the internet are accepted."
    assert stranger.connections == 0


async def test_at_most_four_at_a_time_go_to_an_endpoint_from_all_workers_together(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer(after_s=0.02)) as stranger:
        await outbox.owe(await outbox.endpoint(stranger.url()), 60)
        for _ in range(3):
            deliver()
        await outbox.until(delivered)

    assert stranger.most_present == AT_ONCE_PER_ENDPOINT
    assert len(stranger.received) == 60  # each once: nobody died


async def test_a_claim_that_was_lost_is_repeated_when_its_lease_has_run_out(
    db: Database, outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer()) as stranger:
        [owed] = await outbox.owe(await outbox.endpoint(stranger.url()))
        begun = time.monotonic()
        async with db.write() as session:
            lost = await claim_due(session, BOX, most=10, lease_s=0.5)  # and its worker dies
        deliver()
        await outbox.until(delivered)

    assert [claimed.id for claimed in lost.claimed] == [owed]
    assert stranger.received[0].at - begun >= 0.5
    assert stranger.ids == [message_id(owed)]


async def test_a_stopping_deliverer_gives_its_claims_back(outbox: Outbox, deliver: Deliver) -> None:
    async with receiver(strangers.hang) as stranger:
        owed = await outbox.owe(await outbox.endpoint(stranger.url()), 6)
        deliverer = deliver(timeout_s=15.0)
        await stranger.until(lambda stranger: len(stranger.received) == AT_ONCE_PER_ENDPOINT)
        with promised(1.5):
            await deliverer.stop()
        rows = (await outbox.deliveries()).values()
        stranger.behaviour = answer()
        deliver()
        await outbox.until(delivered)

    assert all(row.lease_id is None and row.attempts == 0 for row in rows)
    assert set(stranger.ids) == {message_id(delivery_id) for delivery_id in owed}


async def test_an_attempt_under_way_may_end_before_a_stop(outbox: Outbox, deliver: Deliver) -> None:
    async with receiver(answer(after_s=0.2)) as stranger:
        await outbox.owe(await outbox.endpoint(stranger.url()))
        deliverer = deliver()
        await stranger.until(lambda stranger: len(stranger.received) == 1)
        await deliverer.stop()
        [row] = (await outbox.deliveries()).values()

    assert delivered(row)


async def test_without_the_key_nothing_is_sent_and_nothing_is_lost(
    outbox: Outbox, deliver: Deliver, db: Database
) -> None:
    async with receiver(answer()) as stranger:
        await outbox.owe(await outbox.endpoint(stranger.url()))
        keyless = deliver(box=SecretBox(("another key",)))
        [row] = (await outbox.until(lambda row: row.last_error is not None)).values()
        await keyless.stop()
        assert stranger.connections == 0
        async with db.write() as session:
            await session.execute(update(WebhookDelivery).values(next_attempt_at=now()))
        deliver()
        await outbox.until(delivered)

    assert row.attempts == 0
    assert row.last_error == (
        "It could not be signed: the service cannot read the secret. It waits."
    )


async def test_neither_secrets_nor_signatures_nor_urls_are_logged(
    outbox: Outbox, deliver: Deliver, db: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    async with receiver(answer(500)) as stranger:
        endpoint = await outbox.endpoint(stranger.url(path="/token-in-the-path"))
        await outbox.owe(endpoint, 3)
        keyless = deliver(box=SecretBox(("another key",)))
        await outbox.until(lambda row: row.last_error is not None)
        await keyless.stop()
        async with db.write() as session:
            await session.execute(update(WebhookDelivery).values(next_attempt_at=now()))
        deliver(Schedule((0.01,)))
        await outbox.until(ended)

    said = "".join(capfd.readouterr())
    assert "webhook_failed" in said
    assert "webhooks_unsigned" in said
    signatures = [request.headers["webhook-signature"] for request in stranger.received]
    secret = outbox.secrets[endpoint].removeprefix("whsec_")
    for hidden in (secret, *signatures, "v1,", "whsec_", "token-in-the-path"):
        assert hidden not in said


async def test_what_is_logged_of_an_attempt_names_the_job_and_what_the_receiver_was_told(
    outbox: Outbox, deliver: Deliver, capfd: pytest.CaptureFixture[str]
) -> None:
    async with receiver(answer(500)) as stranger:
        endpoint = await outbox.endpoint(stranger.url())
        [owed] = await outbox.owe(endpoint)
        deliver(Schedule(()))
        [row] = (await outbox.until(ended)).values()

    [line] = [line for line in "".join(capfd.readouterr()).splitlines() if "webhook_failed" in line]
    for named in (f"job={row.payload['task_id']}", f"endpoint={endpoint}"):
        assert named in line
    assert f"delivery={message_id(owed)}" in line
    assert stranger.ids == [message_id(owed)]


async def test_hundreds_of_deliveries_to_many_endpoints_arrive_once_each(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer()) as stranger:
        endpoints = [await outbox.endpoint(stranger.url(path=f"/{n}")) for n in range(20)]
        for endpoint in endpoints:
            await outbox.owe(endpoint, 25)
        for _ in range(2):
            # An attempt that is thought to be lost would be made again.
            deliver(pace=replace(FAST, lease_s=60.0), timeout_s=30.0)
        await outbox.until(delivered)

    assert len(stranger.ids) == len(set(stranger.ids)) == 500


async def test_a_delivery_that_breaks_us_ends_by_the_schedule(
    outbox: Outbox, deliver: Deliver
) -> None:
    async with receiver(answer()) as stranger:
        endpoint = await outbox.endpoint(stranger.url())
        await outbox.owe(endpoint, 1)
        async with outbox.database.write() as session:
            await session.execute(update(WebhookDelivery).values(payload={"no": "type"}))
        deliver(Schedule(()))
        [row] = (await outbox.until(ended)).values()

    assert row.last_error == "An internal error; it was logged."


async def test_postgres_away_in_the_middle_of_an_attempt_loses_nothing(
    outbox: Outbox, deliver: Deliver, servers: Servers
) -> None:
    postgres = servers._embedded.postgres.process
    async with receiver(answer(after_s=0.5)) as stranger:
        owed = await outbox.owe(await outbox.endpoint(stranger.url()), 6)
        deliver()
        await stranger.until(lambda stranger: len(stranger.received) == AT_ONCE_PER_ENDPOINT)
        postgres.kill()
        try:
            await stranger.until(lambda stranger: stranger.present == 0)  # nobody can record it
        finally:
            postgres.start()
            await asyncio.to_thread(postgres.wait_ready, timeout_s=READY_TIMEOUT_S)
        rows = await outbox.until(delivered)

    assert set(stranger.ids) == {message_id(delivery_id) for delivery_id in owed}
    assert {row.attempts for row in rows.values()} == {1}

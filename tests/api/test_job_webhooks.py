"""`webhook_url`: an endpoint that comes with a job, and what it is owed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import delete, func, select, text, update

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.jobs.models import Instance, Job
from optimized_tsp.jobs.retention import prune_endpoints
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookSecret
from optimized_tsp.webhooks.repository import endpoint_of_url
from optimized_tsp.webhooks.secrets import SecretBox
from optimized_tsp.worker.retention import prune
from tests.api.conftest import JOBS, TRIANGLE
from tests.stack import WEBHOOK_KEY
from tests.webhooks.conftest import secrets_that_sign

URL = "https://hooks.example.org/jobs?token=7"
WITH_URL = TRIANGLE | {"webhook_url": URL}


async def submit(client: httpx.AsyncClient, body: dict[str, Any] = WITH_URL) -> dict[str, Any]:
    response = await client.post(JOBS, json=body)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


async def owed(client: httpx.AsyncClient, job: dict[str, Any]) -> list[str]:
    path = f"/webhooks/{job['webhook_id']}/deliveries"
    rows = (await client.get(path, params={"task_id": job["task_id"]})).json()
    return [row["event_type"] for row in rows]


async def test_the_end_of_a_job_is_owed_to_its_url(client: httpx.AsyncClient) -> None:
    job, other = await submit(client), await submit(client, TRIANGLE)
    assert (job["webhook_url"], other["webhook_url"]) == (URL, None)
    assert await owed(client, job) == []

    for one in (job, other):
        await client.post(f"{JOBS}/{one['task_id']}/cancel")

    assert await owed(client, job) == ["job.cancelled"]
    (delivery,) = (await client.get(f"/webhooks/{job['webhook_id']}/deliveries")).json()
    assert delivery["task_id"] == job["task_id"]
    assert delivery["payload"]["data"]["status"] == "Cancelled"


async def test_the_payload_is_the_event_of_the_feed(client: httpx.AsyncClient) -> None:
    job = await submit(client, WITH_URL | {"tags": {"team": "north"}})
    await client.post(f"{JOBS}/{job['task_id']}/cancel")
    event = (await client.get(f"{JOBS}/{job['task_id']}/events")).json()[-1]
    (delivery,) = (await client.get(f"/webhooks/{job['webhook_id']}/deliveries")).json()

    assert event.pop("cursor")
    assert delivery["payload"] == event
    # An object, not a string that holds JSON once more
    assert isinstance(delivery["payload"]["data"], dict)


async def test_jobs_with_one_url_share_its_endpoint_which_is_not_listed(
    client: httpx.AsyncClient,
) -> None:
    first, second = await submit(client), await submit(client)
    third = await submit(client, WITH_URL | {"webhook_url": "https://hooks.example.org/other"})

    assert first["webhook_id"] == second["webhook_id"] != third["webhook_id"]
    assert (await client.get("/webhooks")).json() == []
    unlisted = (await client.get("/webhooks", params={"kind": "job_url"})).json()
    assert [row["id"] for row in unlisted] == [third["webhook_id"], first["webhook_id"]]
    assert {row["kind"] for row in unlisted} == {"job_url"}
    path = f"/webhooks/{first['webhook_id']}"
    for refused in (
        client.patch(path, json={"url": "https://example.org/"}),
        client.post(f"{path}/rotate-secret"),
    ):
        assert (await refused).status_code == 409


async def test_one_secret_signs_for_every_url_of_a_tenant(
    client: httpx.AsyncClient, db: Database
) -> None:
    shown = (await client.get("/webhooks/job-secret")).json()
    job = await submit(client)
    assert (await client.get("/webhooks/job-secret")).json() == shown
    assert shown["previous_valid_until"] is None

    rotated = (await client.post("/webhooks/job-secret/rotate")).json()

    assert (await client.get("/webhooks/job-secret")).json() == rotated
    assert rotated["previous_valid_until"] is not None
    async with db.read() as session:
        (endpoint,) = await session.scalars(select(WebhookEndpoint))
        secrets = await secrets_that_sign(session, endpoint, SecretBox((WEBHOOK_KEY,)))
    assert str(endpoint.id) == job["webhook_id"]
    assert secrets == [rotated["secret"], shown["secret"]]


async def test_a_secret_is_there_with_the_first_job(
    client: httpx.AsyncClient, db: Database
) -> None:
    await submit(client)
    async with db.read() as session:
        (endpoint,) = await session.scalars(select(WebhookEndpoint))
        (secret,) = await secrets_that_sign(session, endpoint, SecretBox((WEBHOOK_KEY,)))
    assert (await client.get("/webhooks/job-secret")).json()["secret"] == secret


async def test_the_first_jobs_of_a_url_may_come_all_at_once(
    client: httpx.AsyncClient, db: Database
) -> None:
    jobs = await asyncio.gather(*(submit(client) for _ in range(8)))

    assert len({job["webhook_id"] for job in jobs}) == 1
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(WebhookSecret)) == 1


async def test_the_url_is_no_part_of_the_instance_but_of_what_is_repeated(
    client: httpx.AsyncClient, db: Database
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await client.post(JOBS, json=WITH_URL, headers=headers)
    again = await client.post(JOBS, json=WITH_URL, headers=headers)
    other = await client.post(JOBS, json=TRIANGLE, headers=headers)
    await submit(client, TRIANGLE)

    assert first.json()["task_id"] == again.json()["task_id"]
    assert other.status_code == 422
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(Instance)) == 1
        assert await session.scalar(select(func.count()).select_from(Job)) == 2
        assert await session.scalar(select(func.count()).select_from(WebhookEndpoint)) == 1


async def test_a_url_that_may_not_be_called_is_refused_with_its_reason(
    client: httpx.AsyncClient, db: Database
) -> None:
    for url in ("http://hooks.example.org/", "https://[::1]/", "ftp://x", "tour", "https://a b/"):
        for path in (JOBS, f"{JOBS}/validate"):
            response = await client.post(path, json=TRIANGLE | {"webhook_url": url})
            assert response.status_code == 422, url
            (problem,) = response.json()["errors"]
            assert (problem["pointer"], problem["code"]) == ("/webhook_url", "refused_url")
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(Job)) == 0
        assert await session.scalar(select(func.count()).select_from(WebhookEndpoint)) == 0


async def test_beside_a_table_the_url_is_a_parameter(client: httpx.AsyncClient) -> None:
    table = "x,y\n0,0\n3,0\n3,4\n"
    headers = {"Content-Type": "text/csv"}
    parameters = {"webhook_url": URL}

    job = (await client.post(JOBS, content=table, headers=headers, params=parameters)).json()

    assert job["webhook_url"] == URL
    wrong = await client.post(JOBS, json=TRIANGLE, params=parameters)
    assert wrong.json()["errors"][0]["code"] == "belongs_into_body"


async def test_a_new_job_wakes_an_endpoint_that_was_disabled(
    client: httpx.AsyncClient, db: Database
) -> None:
    job = await submit(client)
    async with db.write() as session:
        await session.execute(
            update(WebhookEndpoint).values(
                disabled_at=text("now()"), disabled_reason="It answered 410 Gone."
            )
        )
    await client.post(f"{JOBS}/{job['task_id']}/cancel")
    assert await owed(client, job) == []

    other = await submit(client)

    assert other["webhook_id"] == job["webhook_id"]
    await client.post(f"{JOBS}/{other['task_id']}/cancel")
    assert await owed(client, other) == ["job.cancelled"]


async def test_cancelling_all_that_waits_owes_every_end(client: httpx.AsyncClient) -> None:
    jobs = [await submit(client) for _ in range(3)]

    cancelled = await client.delete(JOBS, params={"status": "Submitted"})

    assert cancelled.json() == {"cancelled": 3}
    for job in jobs:
        assert await owed(client, job) == ["job.cancelled"]


KEEP = Settings(keep_deliveries_days=7)


async def make_older(db: Database) -> None:
    """Every endpoint was made eight days ago."""
    async with db.write() as session:
        await session.execute(
            update(WebhookEndpoint).values(created_at=func.now() - timedelta(days=8))
        )


async def deliver(db: Database, job: dict[str, Any], *, days_ago: int) -> None:
    async with db.write() as session:
        await session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.job_id == UUID(job["task_id"]))
            .values(delivered_at=func.now() - timedelta(days=days_ago))
        )


async def endpoints(db: Database) -> set[str]:
    async with db.read() as session:
        return {str(endpoint) for endpoint in await session.scalars(select(WebhookEndpoint.id))}


async def test_an_endpoint_of_a_url_is_forgotten_with_its_last_delivery(
    client: httpx.AsyncClient, db: Database
) -> None:
    urls = [URL + name for name in ("waiting", "owed", "delivered", "young")]
    waiting, owed_to, told, young = [
        await submit(client, WITH_URL | {"webhook_url": url}) for url in urls
    ]
    for job in (told, owed_to, young):
        await client.post(f"{JOBS}/{job['task_id']}/cancel")
    await deliver(db, told, days_ago=8)
    await deliver(db, young, days_ago=6)
    registered = (await client.post("/webhooks", json={"url": URL})).json()["id"]
    deleted = (await client.post("/webhooks", json={"url": URL})).json()["id"]
    await client.delete(f"/webhooks/{deleted}")
    await make_older(db)

    await prune(db, Settings(keep_deliveries_days=0))
    assert len(await endpoints(db)) == 6
    await prune(db, KEEP)

    kept = {job["webhook_id"] for job in (waiting, owed_to, young)}
    assert await endpoints(db) == kept | {registered}
    forgotten = (await client.get(f"{JOBS}/{told['task_id']}")).json()
    assert (forgotten["webhook_url"], forgotten["webhook_id"]) == (None, None)
    again = await submit(client, WITH_URL | {"webhook_url": told["webhook_url"]})
    assert again["webhook_id"] != told["webhook_id"]


async def test_a_submission_and_a_pruning_at_the_same_time_lose_no_endpoint(
    client: httpx.AsyncClient, db: Database
) -> None:
    first = await submit(client)
    async with db.write() as session:
        await session.execute(delete(WebhookDelivery))
        await session.execute(update(Job).values(status="Cancelled", completed_at=func.now()))
    await make_older(db)
    # Given a pruning that is not committed yet
    async with db.write() as pruning:
        assert await prune_endpoints(pruning, keep=timedelta(days=7), limit=10) == 1
        # When a job names the same URL, it waits
        submitting = asyncio.ensure_future(submit(client))
        async with asyncio.timeout(10):
            while not await somebody_waits(db):  # noqa: ASYNC110 - nothing tells when it does
                await asyncio.sleep(0.01)
    # Then it has an endpoint, a new one
    second = await submitting
    assert await endpoints(db) == {second["webhook_id"]} != {first["webhook_id"]}

    # And the other way round: what a submission uses that is not committed yet is not removed
    async with db.write() as session:
        await session.execute(update(Job).values(status="Cancelled", completed_at=func.now()))
    await make_older(db)
    async with db.write() as submission:
        used = await endpoint_of_url(submission, DEFAULT_TENANT_ID, URL)
        assert str(used) == second["webhook_id"]
        async with db.write() as pruning:
            assert await prune_endpoints(pruning, keep=timedelta(days=7), limit=10) == 0


async def somebody_waits(db: Database) -> bool:
    async with db.read() as session:
        found = await session.scalar(
            text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
        )
        return bool(found)

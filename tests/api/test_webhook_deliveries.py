"""Deliveries of webhook endpoints by REST: listed, sent again."""

from __future__ import annotations

import httpx

from optimized_tsp.core.database import Database
from tests.api.conftest import JOBS, TRIANGLE
from tests.api.test_webhooks import HOOKS, fail_all, register


async def test_what_failed_is_sent_again_with_the_same_id(
    client: httpx.AsyncClient, db: Database
) -> None:
    endpoint = await register(client, event_types=["job.submitted"])
    deliveries = f"{HOOKS}/{endpoint['id']}/deliveries"
    for _ in range(3):
        await client.post(JOBS, json=TRIANGLE)
    await fail_all(db)
    failed = (await client.get(deliveries, params={"status": "failed"})).json()
    assert len(failed) == 3
    assert {row["last_status"] for row in failed} == {500}

    again = await client.post(f"{deliveries}/{failed[0]['id']}/redeliver")

    assert again.status_code == 202
    assert again.json()["id"] == failed[0]["id"]
    assert (again.json()["status"], again.json()["attempts"]) == ("pending", 0)
    rest = await client.post(f"{HOOKS}/{endpoint['id']}/redeliver-failed")
    assert rest.json() == {"redelivered": 2}
    pending = (await client.get(deliveries, params={"status": "pending"})).json()
    assert [row["id"] for row in pending] == [row["id"] for row in failed]
    assert (await client.get(deliveries, params={"status": "delivered"})).json() == []


async def test_what_failed_in_an_outage_is_chosen_by_when_it_was_made(
    client: httpx.AsyncClient, db: Database
) -> None:
    endpoint = await register(client, event_types=["job.submitted"])
    path = f"{HOOKS}/{endpoint['id']}"
    for _ in range(4):
        await client.post(JOBS, json=TRIANGLE)
    made = [row["created_at"] for row in (await client.get(f"{path}/deliveries")).json()][::-1]
    await fail_all(db)

    between = {"created_after": made[0], "created_before": made[3]}  # both ends excluded
    first = await client.get(f"{path}/deliveries", params=between | {"limit": 1})
    second = await client.get(first.links["next"]["url"])
    assert [row["created_at"] for row in first.json() + second.json()] == [made[2], made[1]]
    assert "next" not in second.links
    again = await client.post(f"{path}/redeliver-failed", params=between)
    assert again.json() == {"redelivered": 2}
    pending = (await client.get(f"{path}/deliveries", params={"status": "pending"})).json()
    assert [row["created_at"] for row in pending] == [made[2], made[1]]
    refused = await client.post(f"{path}/redeliver-failed", params={"created_after": "today"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (
        422,
        "/query/created_after",
    )
    assert (await client.post(f"{path}/redeliver-failed")).json() == {"redelivered": 2}


async def test_deliveries_come_in_pages_and_by_job(client: httpx.AsyncClient) -> None:
    endpoint = await register(client, event_types=["job.submitted"])
    jobs = [(await client.post(JOBS, json=TRIANGLE)).json()["task_id"] for _ in range(3)]

    path = f"{HOOKS}/{endpoint['id']}/deliveries"
    first = await client.get(path, params={"limit": 2, "status": "pending"})
    second = await client.get(first.links["next"]["url"])

    rows = first.json() + second.json()
    assert [row["task_id"] for row in rows] == jobs[::-1]
    assert "next" not in second.links
    (only,) = (await client.get(path, params={"task_id": jobs[1]})).json()
    assert only["task_id"] == jobs[1]
    assert only["payload"]["task_id"] == jobs[1]

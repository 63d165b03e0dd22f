"""Webhook endpoints by REST: registered, changed, rotated, disabled, tested, redelivered."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text, update

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Auth, Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import new_id
from optimized_tsp.jobs.services import Services
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookSecret
from tests.api.conftest import JOBS, TRIANGLE
from tests.api.test_keys import new_key

HOOKS = "/webhooks"
HOOK = {"url": "https://hooks.example.org/tours"}
TERMINAL = ["job.completed", "job.failed", "job.cancelled"]


async def register(client: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    response = await client.post(HOOKS, json=HOOK | members)
    assert response.status_code == 201, response.text
    endpoint: dict[str, Any] = response.json()
    return endpoint


async def owed(client: httpx.AsyncClient, endpoint: dict[str, Any]) -> list[tuple[str, int | None]]:
    rows = (await client.get(f"{HOOKS}/{endpoint['id']}/deliveries")).json()
    return [(row["event_type"], row["seq"]) for row in reversed(rows)]


async def fail_all(db: Database) -> None:
    async with db.write() as session:
        await session.execute(
            update(WebhookDelivery).values(
                failed_at=text("now()"), attempts=10, last_status=500, last_error="status 500"
            )
        )


async def test_an_endpoint_is_registered_with_a_secret_shown_once(
    client: httpx.AsyncClient, db: Database
) -> None:
    response = await client.post(HOOKS, json=HOOK)

    endpoint = response.json()
    assert response.headers["location"] == f"{HOOKS}/{endpoint['id']}"
    scheme, _, encoded = endpoint["secret"].partition("_")
    assert (scheme, len(base64.b64decode(encoded))) == ("whsec", 32)
    assert endpoint["kind"] == "registered"
    assert endpoint["event_types"] == TERMINAL
    shown = (await client.get(response.headers["location"])).json()
    assert shown == {name: value for name, value in endpoint.items() if name != "secret"}
    assert (await client.get(HOOKS)).json() == [shown]
    async with db.read() as session:
        (sealed,) = await session.scalars(select(WebhookSecret.sealed))
    assert endpoint["secret"].encode() not in sealed
    assert base64.b64decode(encoded) not in sealed


BAD: list[tuple[str, dict[str, Any], str, str]] = [
    # what, the members, pointer, what the message names
    ("no URL", {}, "/url", "required"),
    ("no text", {"url": 17}, "/url", "string"),
    ("no host", {"url": "https://"}, "/url", "host"),
    ("plain http", {"url": "http://hooks.example.org/"}, "/url", "https://"),
    ("a private address", {"url": "https://10.0.0.1/"}, "/url", "public"),
    ("a password", {"url": "https://me:pw@hooks.example.org/"}, "/url", "password"),
    (
        "an unknown event",
        HOOK | {"event_types": ["job.completed", "job.finished"]},
        "/event_types/1",
        "'job.incumbent'",
    ),
    ("a test event", HOOK | {"event_types": ["webhook.test"]}, "/event_types/0", "job.submitted"),
    ("no events", HOOK | {"event_types": []}, "/event_types", "at least 1"),
    ("an unknown solver", HOOK | {"solver": "tspp"}, "/solver", "knapsack, tsp"),
    ("an unknown version", HOOK | {"solver": "tsp", "version": "v9"}, "/version", "v1"),
    ("a version of nothing", HOOK | {"version": "v1"}, "/version", "solver"),
    ("a tag that is no text", HOOK | {"tags": {"team": 7}}, "/tags/team", "string"),
    ("NUL in a tag", HOOK | {"tags": {"a": "\0"}}, "/tags", "NUL"),
    ("too many tags", HOOK | {"tags": {str(n): "" for n in range(21)}}, "/tags", "20"),
    ("a long note", HOOK | {"description": "x" * 501}, "/description", "500 characters"),
    ("NUL in a note", HOOK | {"description": "\0"}, "/description", "NUL"),
    ("an unknown member", HOOK | {"colour": "red"}, "/colour", "not permitted"),
]


async def test_bad_input_is_named_with_a_pointer(client: httpx.AsyncClient) -> None:
    for what, members, pointer, names in BAD:
        response = await client.post(HOOKS, json=members)

        assert response.status_code == 422, what
        (problem,) = response.json()["errors"]
        assert problem["pointer"] == pointer, what
        assert names in problem["message"], what
    assert (await client.get(HOOKS)).json() == []


async def test_a_body_is_small_json(client: httpx.AsyncClient) -> None:
    json = {"content-type": "application/json"}
    assert (await client.post(HOOKS, content="{", headers=json)).status_code == 422
    assert (await client.post(HOOKS, content="url=x")).status_code == 415
    large = await client.post(HOOKS, json=HOOK | {"description": "x" * 70_000})
    assert (large.status_code, large.json()["limit_bytes"]) == (413, 65_536)


async def test_the_21st_endpoint_is_refused_until_one_is_deleted(client: httpx.AsyncClient) -> None:
    first = await register(client)
    rest = await asyncio.gather(*(client.post(HOOKS, json=HOOK) for _ in range(20)))

    assert sorted(response.status_code for response in rest) == [201] * 19 + [409]
    refused = await client.post(HOOKS, json=HOOK)
    assert "20 webhook endpoints" in refused.json()["detail"]
    assert (await client.delete(f"{HOOKS}/{first['id']}")).status_code == 204
    await register(client)


async def test_a_list_comes_in_pages(client: httpx.AsyncClient) -> None:
    made = [(await register(client))["id"] for _ in range(5)]
    seen, path = [], f"{HOOKS}?limit=2"
    while path:
        page = await client.get(path)
        seen += [endpoint["id"] for endpoint in page.json()]
        path = page.links["next"]["url"] if "next" in page.links else ""
    assert seen == made[::-1]


async def test_a_change_leaves_what_it_does_not_name(client: httpx.AsyncClient) -> None:
    endpoint = await register(client, tags={"team": "north"}, solver="tsp", version="v1")
    path = f"{HOOKS}/{endpoint['id']}"

    changed = (
        await client.patch(path, json={"event_types": ["job.incumbent"], "tags": None})
    ).json()

    assert (changed["event_types"], changed["tags"]) == (["job.incumbent"], None)
    assert (changed["url"], changed["version"]) == (endpoint["url"], "v1")
    moved = (await client.patch(path, json={"solver": "knapsack"})).json()
    assert (moved["solver"], moved["version"]) == ("knapsack", None)
    for members, pointer in (
        ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": None}, "/url"),
        ({"version": "v7"}, "/version"),
    ):
        refused = await client.patch(path, json=members)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await client.get(path)).json() == moved


async def fail_until_paused(db: Database) -> None:
    async with db.write() as session:
        await session.execute(
            update(WebhookEndpoint).values(
                consecutive_failures=7,
                failing_since=text("now()"),
                paused_until=text("now() + interval '1 day'"),
            )
        )


async def test_a_new_address_is_not_blamed_for_the_failures_of_the_old_one(
    client: httpx.AsyncClient, db: Database
) -> None:
    path = f"{HOOKS}/{(await register(client))['id']}"
    await fail_until_paused(db)

    same = (await client.patch(path, json=HOOK | {"description": "the same"})).json()
    moved = (await client.patch(path, json={"url": "https://new.example.org/"})).json()

    assert same["consecutive_failures"] == 7
    assert same["paused_until"] is not None
    assert (moved["consecutive_failures"], moved["failing_since"]) == (0, None)
    assert moved["paused_until"] is None


async def test_who_asks_for_an_attempt_does_not_wait_for_a_pause_to_end(
    client: httpx.AsyncClient, db: Database
) -> None:
    path = f"{HOOKS}/{(await register(client))['id']}"
    delivery = (await client.post(f"{path}/test")).json()["id"]
    for action in ("test", f"deliveries/{delivery}/redeliver", "redeliver-failed"):
        await fail_until_paused(db)

        assert (await client.post(f"{path}/{action}")).status_code == 202

        endpoint = (await client.get(path)).json()
        # One delivery at a time, still: nothing has been answered yet
        assert (endpoint["paused_until"], endpoint["consecutive_failures"]) == (None, 7)


async def test_a_replaced_secret_signs_for_another_day(
    client: httpx.AsyncClient, db: Database
) -> None:
    endpoint = await register(client)

    rotated = (await client.post(f"{HOOKS}/{endpoint['id']}/rotate-secret")).json()

    assert rotated["secret"] != endpoint["secret"]
    async with db.read() as session:
        hours = text(
            "SELECT extract(epoch FROM max(valid_until) - now()) / 3600 FROM webhook_secrets"
        )
        assert 23.9 < float(await session.scalar(hours) or 0) <= 24
    # However often it is replaced, not more than three sign
    for _ in range(4):
        await client.post(f"{HOOKS}/{endpoint['id']}/rotate-secret")
    async with db.read() as session:
        assert len((await session.scalars(select(WebhookSecret))).all()) == 3


async def test_a_leaked_secret_is_replaced_at_once(client: httpx.AsyncClient, db: Database) -> None:
    endpoint = await register(client)
    await client.get(f"{HOOKS}/job-secret")
    for path in (f"{HOOKS}/{endpoint['id']}/rotate-secret", f"{HOOKS}/job-secret/rotate"):
        await client.post(path)  # a day of overlap, before anybody knew

        for overlap in (-1, 604_801, "soon", "nan"):
            refused = await client.post(path, params={"overlap": overlap})
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["pointer"] == "/query/overlap"
        hour = (await client.post(path, params={"overlap": 3600})).json()
        left = datetime.fromisoformat(hour["previous_valid_until"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < left <= timedelta(minutes=60)
        at_once = (await client.post(path, params={"overlap": 0})).json()
        assert at_once["previous_valid_until"] is None
    async with db.read() as session:
        assert len((await session.scalars(select(WebhookSecret))).all()) == 2


async def test_a_test_event_is_owed_whatever_the_filters(client: httpx.AsyncClient) -> None:
    endpoint = await register(client, event_types=["job.bound"], tags={"never": "seen"})

    asked = await client.post(f"{HOOKS}/{endpoint['id']}/test")

    assert asked.status_code == 202
    delivery = (await client.get(asked.headers["location"])).json()
    assert delivery == asked.json()
    assert (delivery["event_type"], delivery["status"]) == ("webhook.test", "pending")
    assert (delivery["task_id"], delivery["attempts"]) == (None, 0)
    assert delivery["payload"]["type"] == "webhook.test"


async def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled(
    client: httpx.AsyncClient, db: Database
) -> None:
    endpoint = await register(client, event_types=["job.submitted"])
    path = f"{HOOKS}/{endpoint['id']}"
    await client.post(JOBS, json=TRIANGLE)

    for _ in range(2):
        disabled = (await client.post(f"{path}/disable")).json()
        assert disabled["disabled_reason"] == "Disabled by its owner."
    await client.post(JOBS, json=TRIANGLE)

    (delivery,) = (await client.get(f"{path}/deliveries")).json()
    assert (delivery["status"], delivery["last_error"]) == ("failed", "Disabled by its owner.")
    for action in (f"deliveries/{delivery['id']}/redeliver", "redeliver-failed", "test"):
        assert (await client.post(f"{path}/{action}")).status_code == 409
    await fail_until_paused(db)
    enabled = (await client.post(f"{path}/enable")).json()
    assert enabled == {name: value for name, value in endpoint.items() if name != "secret"}
    assert (await client.post(f"{path}/redeliver-failed")).json() == {"redelivered": 1}
    await client.post(JOBS, json=TRIANGLE)
    assert await owed(client, endpoint) == [("job.submitted", 1)] * 2


async def test_a_deleted_endpoint_and_its_secret_are_gone(
    client: httpx.AsyncClient, db: Database
) -> None:
    endpoint = await register(client, event_types=["job.submitted"])
    path = f"{HOOKS}/{endpoint['id']}"
    await client.post(JOBS, json=TRIANGLE)

    assert (await client.delete(path)).status_code == 204

    for again in (client.get(path), client.delete(path), client.get(f"{path}/deliveries")):
        assert (await again).status_code == 404
    assert (await client.get(HOOKS)).json() == []
    async with db.read() as session:
        assert (await session.scalars(select(WebhookSecret))).all() == []
        (delivery,) = await session.scalars(select(WebhookDelivery))
    assert delivery.failed_at is not None


async def test_without_a_key_for_secrets_the_answer_says_what_to_set(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"webhook_key": None}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        refused = await client.post(HOOKS, json=HOOK)
        job = await client.post(JOBS, json=TRIANGLE | {"webhook_url": HOOK["url"]})
        plain = await client.post(JOBS, json=TRIANGLE)
    assert refused.status_code == 503
    assert "OPTIMIZED_TSP_WEBHOOK_KEY" in refused.json()["detail"]
    assert (job.status_code, job.json()["errors"][0]["code"]) == (422, "webhooks_unavailable")
    assert plain.status_code == 202


@pytest.fixture
async def tenants(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two tenants of one service that requires keys."""
    app = create_app(settings.model_copy(update={"auth": Auth.REQUIRED}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        keys = [await new_key(services.database, new_id()) for _ in range(2)]
        one, other = (
            httpx.AsyncClient(
                transport=transport,
                base_url="http://127.0.0.1",
                headers={"authorization": f"Bearer {key}"},
            )
            for key in keys
        )
        async with one, other:
            yield one, other


async def test_another_tenants_endpoint_does_not_exist_and_gets_nothing(
    tenants: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    mine, other = tenants
    endpoint = await register(mine, event_types=["job.submitted"])
    delivery = (await mine.post(f"{HOOKS}/{endpoint['id']}/test")).json()["id"]
    path = f"{HOOKS}/{endpoint['id']}"

    await other.post(JOBS, json=TRIANGLE)

    assert await owed(mine, endpoint) == [("webhook.test", None)]
    assert (await other.get(HOOKS)).json() == []
    for method, tail in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/rotate-secret"),
        ("POST", "/disable"),
        ("POST", "/enable"),
        ("POST", "/test"),
        ("GET", "/deliveries"),
        ("GET", f"/deliveries/{delivery}"),
        ("POST", f"/deliveries/{delivery}/redeliver"),
        ("POST", "/redeliver-failed"),
    ):
        body: dict[str, Any] | None = {} if method == "PATCH" else None
        assert (await other.request(method, path + tail, json=body)).status_code == 404, tail
    # Nor is a delivery found under another endpoint
    strange = await register(other)
    assert UUID(strange["id"]) != UUID(endpoint["id"])
    wrong = await other.get(f"{HOOKS}/{strange['id']}/deliveries/{delivery}")
    assert wrong.status_code == 404
    secrets = [(await each.get(f"{HOOKS}/job-secret")).json()["secret"] for each in tenants]
    assert secrets[0] != secrets[1]

"""With AUTH=required: every call needs a key, and a key sees what is its own tenant's only.

The calls are those of the OpenAPI document, so new ones are walked as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from optimized_tsp.api.app import create_app
from optimized_tsp.core.api_keys import create_key, list_keys, revoke_key
from optimized_tsp.core.config import Auth, Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import new_id
from optimized_tsp.jobs.services import Services
from tests.api.conftest import JOBS, TRIANGLE

NOTE = {"description": "a note"}
OPEN = {"/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/openapi.json"}


@dataclass(frozen=True)
class Guarded:
    """An application that requires keys, and one key of each kind."""

    app: FastAPI
    client: httpx.AsyncClient
    own: str
    other: str
    revoked: str

    async def call(self, method: str, path: str, key: str | None) -> httpx.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        body = {("POST", JOBS): TRIANGLE}.get((method, path), NOTE if method == "PATCH" else None)
        return await self.client.request(method, path, json=body, headers=headers)


async def new_key(database: Database, tenant_id: UUID) -> str:
    async with database.write() as session:
        return create_key(session, name="test", tenant_id=tenant_id)[1]


@pytest.fixture
async def guarded(settings: Settings) -> AsyncIterator[Guarded]:
    app = create_app(settings.model_copy(update={"auth": Auth.REQUIRED}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        services: Services = app.state.services
        database = services.database
        own, other = await new_key(database, new_id()), await new_key(database, new_id())
        revoked = await new_key(database, new_id())
        async with database.write() as session:
            assert await revoke_key(session, revoked[5:13])
        yield Guarded(app, client, own, other, revoked)


@dataclass(frozen=True)
class Things:
    """What belongs to the owner of a key: ids, by the names they have in paths."""

    job: str
    ids: dict[str, str]

    @staticmethod
    async def of(guarded: Guarded) -> Things:
        """A job, a webhook and one of its deliveries."""

        async def made(path: str, body: object) -> str:
            headers = {"authorization": f"Bearer {guarded.own}"}
            answer = await guarded.client.post(path, json=body, headers=headers)
            assert answer.is_success, answer.text
            document: dict[str, str] = answer.json()
            return document.get("task_id") or document["id"]

        webhook = await made("/webhooks", {"url": "https://example.org/hook"})
        job = await made(JOBS, TRIANGLE)
        delivery = await made(f"/webhooks/{webhook}/test", None)
        return Things(job, {"task_id": job, "webhook_id": webhook, "delivery_id": delivery})

    def calls(self, app: FastAPI) -> list[tuple[str, str, bool]]:
        """Every guarded call, and whether it names one of these; HEAD beside each GET.

        One solver stands for all: each has the same calls.
        """
        return [
            (method.upper(), path.format_map(self.ids), "{" in path)
            for path, operations in app.openapi()["paths"].items()
            if path not in OPEN and (path.startswith("/tsp_solver/v1") or "_solver/" not in path)
            for method in [*operations, *(["head"] if "get" in operations else [])]
        ]


def wrong(key: str) -> list[str]:
    """Keys that are nearly right: other secret, other checksum, other form."""
    prefix, secret, checksum = key[5:13], key[14:57], key[58:]
    assert key == f"otsp_{prefix}_{secret}_{checksum}"
    return [
        f"otsp_{prefix}_{secret[::-1]}_{checksum}",
        f"otsp_{prefix}_{secret}_{'0' * 8}",
        key.upper(),
        key[:-1],
        "otsp_",
    ]


async def test_every_call_asks_for_a_key(guarded: Guarded) -> None:
    things = await Things.of(guarded)
    every = things.calls(guarded.app)
    assert len(every) >= 30

    for method, path, _ in every:
        for key in (None, guarded.revoked, *wrong(guarded.own)):
            response = await guarded.call(method, path, key)
            assert response.status_code == 401, f"{method} {path} with {key}"
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.headers["content-type"] == "application/problem+json"
    assert (await guarded.call("GET", f"{JOBS}/{things.job}", guarded.own)).status_code == 200


async def test_what_belongs_to_another_tenant_does_not_exist(guarded: Guarded) -> None:
    things = await Things.of(guarded)
    for method, path, names_one in things.calls(guarded.app):
        if names_one:
            response = await guarded.call(method, path, guarded.other)
            assert response.status_code == 404, f"{method} {path}: {response.text}"

    for path in (JOBS, "/webhooks"):
        assert (await guarded.call("GET", path, guarded.other)).json() == []
    bulk = await guarded.call("DELETE", f"{JOBS}?status=Submitted", guarded.other)
    assert bulk.json() == {"cancelled": 0}
    mine = (await guarded.call("GET", f"{JOBS}/{things.job}", guarded.own)).json()
    assert mine["status"] == "Submitted"


async def test_with_the_owners_key_every_call_finds_what_it_names(guarded: Guarded) -> None:
    things = await Things.of(guarded)
    for method, path, _ in things.calls(guarded.app):
        # Metrics have a token of their own, and there is no solution yet.
        if method != "DELETE" and not path.endswith(("/metrics", "/solution")):
            response = await guarded.call(method, path, guarded.own)
            assert response.status_code not in {401, 403, 404}, f"{method} {path}: {response.text}"


async def test_the_queue_position_counts_nobody_elses_names(guarded: Guarded) -> None:
    await guarded.call("POST", JOBS, guarded.other)
    mine = (await guarded.call("POST", JOBS, guarded.own)).json()
    assert mine["queue_position"] == 2


async def test_health_and_documentation_are_open(guarded: Guarded) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert (await guarded.call("GET", path, None)).status_code == 200


async def test_only_a_hash_of_the_secret_is_stored(guarded: Guarded) -> None:
    services: Services = guarded.app.state.services
    async with services.database.read() as session:
        keys = await list_keys(session)
    secret = guarded.own[14:57]
    assert len(keys) == 3
    for key in keys:
        assert len(key.secret_hash) == 32
        assert secret.encode() not in key.secret_hash
        assert secret not in f"{key.prefix}{key.name}"

"""Deliverers on a real database, and deliveries for them to make."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database, ReadSession, WriteSession
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.core.tasks import end_tasks
from optimized_tsp.core.tracing import Tracing
from optimized_tsp.webhooks.address import AddressPolicy
from optimized_tsp.webhooks.deliverer import Deliverer, Pace
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.resolve import SystemResolver
from optimized_tsp.webhooks.schedule import Schedule
from optimized_tsp.webhooks.secrets import SecretBox, make_secret, owner, signing_secrets
from optimized_tsp.webhooks.transport import Transport, trusted_authorities
from tests.promises import overdue

BOX = SecretBox(("a key for tests",))
LOOPBACK = AddressPolicy.from_settings(
    Settings(webhook_allow_http=True, webhook_allowed_networks="127.0.0.0/8")
)
FAST = Pace(lease_s=5.0, look_every_s=0.05, rest_idle_s=0.01, grace_s=0.5, check_every_s=1.0)
SOON = Schedule((0.05,) * 9)
"""The ten attempts of the specification within half a second."""


@dataclass
class Outbox:
    """Endpoints and what they are owed, straight in the tables."""

    database: Database
    secrets: dict[UUID, str] = field(default_factory=dict)

    async def endpoint(self, url: str, tenant_id: UUID = DEFAULT_TENANT_ID, **columns: Any) -> UUID:
        """A new endpoint with a secret of its own."""
        endpoint_id = new_id()
        async with self.database.write() as session:
            endpoint = WebhookEndpoint(
                id=endpoint_id,
                tenant_id=tenant_id,
                url=url,
                event_types=["job.completed"],
                **columns,
            )
            session.add(endpoint)
            self.secrets[endpoint_id] = make_secret(
                session, BOX, tenant_id=tenant_id, owner_id=endpoint_id
            )
        return endpoint_id

    async def owe(self, endpoint_id: UUID, number: int = 1, **columns: Any) -> list[UUID]:
        """So many deliveries, due now."""
        ids = [new_id() for _ in range(number)]
        async with self.database.write() as session:
            session.add_all(
                WebhookDelivery(
                    id=delivery_id,
                    endpoint_id=endpoint_id,
                    event_type="job.completed",
                    payload={
                        "type": "job.completed",
                        "task_id": str(delivery_id),
                        "seq": 3,
                        "at": "2026-11-22T06:00:00.000000Z",
                        "data": {"cost": 8},
                    },
                    **columns,
                )
                for delivery_id in ids
            )
        return ids

    async def deliveries(self) -> dict[UUID, WebhookDelivery]:
        async with self.database.read() as session:
            return {row.id: row for row in await session.scalars(select(WebhookDelivery))}

    async def of(self, endpoint_id: UUID) -> WebhookEndpoint:
        async with self.database.read() as session:
            return await session.get_one(WebhookEndpoint, endpoint_id)

    async def until(
        self, wanted: Callable[[WebhookDelivery], object], within_s: float = 20.0
    ) -> dict[UUID, WebhookDelivery]:
        """Wait until this is true of every delivery."""
        begun = time.monotonic()
        while not all(map(wanted, (rows := await self.deliveries()).values())):
            assert not overdue(begun, within_s), [
                (row.attempts, row.last_error) for row in rows.values() if not wanted(row)
            ][:10]
            await asyncio.sleep(0.1)
        return rows


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, application_name="tests")
    yield database
    await database.close()


@pytest.fixture
def outbox(db: Database) -> Outbox:
    return Outbox(db)


async def secrets_that_sign(
    session: ReadSession | WriteSession, endpoint: WebhookEndpoint, box: SecretBox = BOX
) -> list[str]:
    """In clear, newest first."""
    sealed = await signing_secrets(session, [endpoint])
    return [box.open(secret, owner(endpoint)) for secret in sealed[endpoint.id]]


Deliver = Callable[..., Deliverer]


@pytest.fixture
async def deliver(database_url: str) -> AsyncIterator[Deliver]:
    """Starts a deliverer; `deliver(...)` again starts another one beside it."""
    running: list[tuple[Deliverer, asyncio.Task[None]]] = []
    pools: list[Database] = []

    def deliver(
        schedule: Schedule = SOON,
        pace: Pace = FAST,
        *,
        box: SecretBox = BOX,
        timeout_s: float = 1.0,
        policy: AddressPolicy = LOOPBACK,
        tracing: Tracing | None = None,
    ) -> Deliverer:
        pools.append(Database(database_url, application_name="tests"))
        transport = Transport(
            policy, trusted_authorities(None), SystemResolver(), timeout_s=timeout_s
        )
        deliverer = Deliverer(pools[-1], transport, box, schedule, pace, tracing=tracing)
        running.append((deliverer, asyncio.create_task(deliverer.run())))
        return deliverer

    yield deliver
    for deliverer, _ in running:
        await deliverer.stop()
    await end_tasks(task for _, task in running)
    for pool in pools:
        await pool.close()
    for _, task in running:
        with suppress(asyncio.CancelledError):
            task.result()  # a deliverer that broke fails its test


def delivered(row: WebhookDelivery) -> bool:
    return row.delivered_at is not None


def ended(row: WebhookDelivery) -> bool:
    return row.delivered_at is not None or row.failed_at is not None


def now() -> datetime:
    return datetime.now(UTC)

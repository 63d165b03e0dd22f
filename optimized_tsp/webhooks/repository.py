"""Endpoints and deliveries as their tenant sees them; what does not belong to it does not exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from optimized_tsp.core.database import ReadSession, WriteSession
from optimized_tsp.core.errors import NotFound
from optimized_tsp.core.ids import new_id
from optimized_tsp.events.types import TERMINAL_EVENTS, EventType
from optimized_tsp.webhooks.claims import fail_pending
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookSecret
from optimized_tsp.webhooks.outbox import message_id

__all__ = [
    "DEFAULT_EVENT_TYPES",
    "ENABLED",
    "REDELIVERED_AT_ONCE",
    "UNTRIED",
    "DeliveryStatus",
    "Period",
    "count_listed",
    "disable",
    "endpoint_of_url",
    "find_delivery",
    "find_endpoint",
    "list_deliveries",
    "list_endpoints",
    "lock_endpoint",
    "lock_tenant",
    "redeliver",
    "redeliver_failed",
    "remove",
]

DEFAULT_EVENT_TYPES = [kind.value for kind in EventType if kind in TERMINAL_EVENTS]
"""What an endpoint gets that asks for nothing in particular: how each job ended."""

REDELIVERED_AT_ONCE = 1000
"""Failed deliveries that one transaction makes due again, so that it holds no locks for long."""


class DeliveryStatus(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    """Not delivered yet: waits for its first or next attempt, or is being attempted."""
    DELIVERED = "delivered"
    """The receiver answered with a 2xx status."""
    FAILED = "failed"
    """Given up after the last attempt of the schedule, or because the endpoint was disabled."""

    def condition(self) -> ColumnElement[bool]:
        """The same for a query on deliveries."""
        match self:
            case DeliveryStatus.DELIVERED:
                return WebhookDelivery.delivered_at.is_not(None)
            case DeliveryStatus.FAILED:
                return WebhookDelivery.failed_at.is_not(None)
            case DeliveryStatus.PENDING:
                return and_(
                    WebhookDelivery.delivered_at.is_(None), WebhookDelivery.failed_at.is_(None)
                )


@dataclass(frozen=True, slots=True)
class Period:
    """When deliveries were made, both ends excluded; None: no end."""

    after: datetime | None = None
    before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for a query on deliveries."""
        made = WebhookDelivery.created_at
        since = [] if self.after is None else [made > self.after]
        return since if self.before is None else [*since, made < self.before]


async def find_endpoint(
    session: ReadSession, tenant_id: UUID, endpoint_id: UUID
) -> WebhookEndpoint:
    """One endpoint, listed or not; raises `NotFound`."""
    return await _endpoint(session, select(WebhookEndpoint), tenant_id, endpoint_id)


async def lock_endpoint(
    session: WriteSession, tenant_id: UUID, endpoint_id: UUID
) -> WebhookEndpoint:
    """The endpoint, locked for this transaction; raises `NotFound`."""
    query = select(WebhookEndpoint).with_for_update(key_share=True)
    return await _endpoint(session, query, tenant_id, endpoint_id)


async def list_endpoints(
    session: ReadSession, tenant_id: UUID, *, listed: bool, before: UUID | None, limit: int
) -> Sequence[WebhookEndpoint]:
    """Endpoints newest first, those made before the one called `before`."""
    query = select(WebhookEndpoint).where(
        *_of_tenant(tenant_id), WebhookEndpoint.listed.is_(listed)
    )
    if before is not None:
        query = query.where(WebhookEndpoint.id < before)
    rows = await session.scalars(query.order_by(WebhookEndpoint.id.desc()).limit(limit))
    return rows.all()


async def lock_tenant(session: WriteSession, tenant_id: UUID) -> None:
    """Let nobody else register endpoints of this tenant until the transaction ends."""
    name = func.hashtextextended(f"webhooks/{tenant_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(name)))


async def count_listed(session: WriteSession, tenant_id: UUID) -> int:
    """How many endpoints the tenant has registered, disabled ones included."""
    query = select(func.count()).select_from(WebhookEndpoint)
    counted = await session.scalar(
        query.where(*_of_tenant(tenant_id), WebhookEndpoint.listed.is_(True))
    )
    return counted or 0


async def endpoint_of_url(session: WriteSession, tenant_id: UUID, url: str) -> UUID:
    """The unlisted endpoint that stands for a `webhook_url`, made when it is the first job's.

    One that was disabled works again: a new job names it, so somebody is there.
    """
    mine = (*_of_tenant(tenant_id), WebhookEndpoint.listed.is_(False), WebhookEndpoint.url == url)
    # Locked against retention, which removes an endpoint that no job and no delivery refers to.
    found = select(WebhookEndpoint.id, WebhookEndpoint.disabled_at).where(*mine)
    found = found.with_for_update(read=True, key_share=True)
    while (row := (await session.execute(found)).first()) is None:
        await session.execute(
            insert(WebhookEndpoint)
            .values(
                id=new_id(),
                tenant_id=tenant_id,
                url=url,
                listed=False,
                event_types=DEFAULT_EVENT_TYPES,
            )
            .on_conflict_do_nothing()
        )
    if row.disabled_at is not None:
        await session.execute(
            update(WebhookEndpoint).where(WebhookEndpoint.id == row.id).values(ENABLED)
        )
    endpoint_id: UUID = row.id
    return endpoint_id


UNTRIED: dict[str, Any] = {
    "consecutive_failures": 0,
    "failing_since": None,
    "paused_until": None,
    "next_look_at": func.now(),
}
"""What is true of an endpoint that works, or whose address is a new one."""

ENABLED: dict[str, Any] = {"disabled_at": None, "disabled_reason": None, **UNTRIED}
"""The same of one that is to be tried again, whether it was disabled or not."""


async def disable(session: WriteSession, endpoint: WebhookEndpoint, reason: str) -> None:
    """Send a locked endpoint nothing more; what waits for its turn has failed.

    Of very much that waits, some fails now, and the rest when a worker looks next.
    """
    endpoint.disabled_at = func.now()
    endpoint.disabled_reason = reason
    endpoint.next_look_at = func.now()
    await session.flush()
    await fail_pending(session, [endpoint.id], reason)


async def remove(session: WriteSession, endpoint: WebhookEndpoint) -> None:
    """Forget a locked endpoint and its secrets; its deliveries end with their retention."""
    await disable(session, endpoint, "The endpoint was deleted.")
    endpoint.deleted_at = func.now()
    await session.execute(delete(WebhookSecret).where(WebhookSecret.owner_id == endpoint.id))


async def list_deliveries(
    session: ReadSession,
    endpoint_id: UUID,
    *,
    status: DeliveryStatus | None,
    task_id: UUID | None,
    made: Period,
    before: UUID | None,
    limit: int,
) -> Sequence[WebhookDelivery]:
    """Deliveries newest first, those made before the one called `before`."""
    query = select(WebhookDelivery).where(
        WebhookDelivery.endpoint_id == endpoint_id, *made.conditions()
    )
    if status is not None:
        query = query.where(status.condition())
    if task_id is not None:
        query = query.where(WebhookDelivery.job_id == task_id)
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    rows = await session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(limit))
    return rows.all()


async def find_delivery(
    session: ReadSession | WriteSession, endpoint_id: UUID, delivery_id: UUID, *, lock: bool = False
) -> WebhookDelivery:
    """One delivery of an endpoint; raises `NotFound`."""
    query = select(WebhookDelivery).where(
        WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.id == delivery_id
    )
    delivery = await session.scalar(query.with_for_update() if lock else query)
    if delivery is None:
        raise NotFound(f"There is no delivery {message_id(delivery_id)} of this endpoint.")
    return delivery


def redeliver(delivery: WebhookDelivery) -> None:
    """Make a locked delivery due now, with the whole schedule before it; its id stays."""
    if delivery.delivered_at is not None or delivery.failed_at is not None:
        delivery.lease_id = delivery.lease_until = None
    delivery.delivered_at = delivery.failed_at = None
    delivery.attempts = 0
    delivery.next_attempt_at = func.now()


async def redeliver_failed(
    session: WriteSession, endpoint_id: UUID, *, failed_before: datetime, made: Period
) -> int:
    """Make up to `REDELIVERED_AT_ONCE` failed deliveries due now, oldest first; says how many."""
    failed = (
        select(WebhookDelivery.id)
        .where(
            WebhookDelivery.endpoint_id == endpoint_id,
            WebhookDelivery.failed_at < failed_before,
            *made.conditions(),
        )
        .order_by(WebhookDelivery.failed_at)
        .limit(REDELIVERED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    again = await session.scalars(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_(failed))
        .values(failed_at=None, attempts=0, next_attempt_at=func.now())
        .returning(WebhookDelivery.id)
    )
    return len(again.all())


async def _endpoint(
    session: ReadSession | WriteSession, query: Any, tenant_id: UUID, endpoint_id: UUID
) -> WebhookEndpoint:
    found: WebhookEndpoint | None = await session.scalar(
        query.where(*_of_tenant(tenant_id), WebhookEndpoint.id == endpoint_id)
    )
    if found is None:
        raise NotFound(
            f"There is no webhook endpoint {endpoint_id} here; GET /webhooks shows which there are."
        )
    return found


def _of_tenant(tenant_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return WebhookEndpoint.tenant_id == tenant_id, WebhookEndpoint.deleted_at.is_(None)

"""The tables of webhooks: endpoints, their secrets, and one delivery per event and endpoint."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from optimized_tsp.core.database import Base

__all__ = ["WebhookDelivery", "WebhookEndpoint", "WebhookSecret"]


class WebhookEndpoint(Base):
    """An address that wants events.

    A `listed` one was registered and gets what its filters let through (NULL: everything). The
    others stand for a `webhook_url` that jobs were submitted with, one per tenant and URL, so that
    a receiver's limits hold for all jobs that name it; they get the events of those jobs only
    (`jobs.webhook_endpoint_id`).

    `consecutive_failures`, `failing_since`, `paused_until` (the breaker: no attempt before it) and
    `next_look_at` (see `looks`) are the sender's. A deleted one is also disabled, and kept for as
    long as deliveries tell of it.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        Index("webhook_endpoints_tenant_id_idx", "tenant_id", "id"),
        Index(
            "webhook_endpoints_listed_idx",
            "tenant_id",
            postgresql_where=text("listed AND disabled_at IS NULL"),
        ),
        Index(
            "webhook_endpoints_of_jobs_idx",
            "tenant_id",
            "url",
            unique=True,
            postgresql_where=text("NOT listed AND deleted_at IS NULL"),
        ),
        Index(
            "webhook_endpoints_answering_idx",
            "next_look_at",
            postgresql_where=text("consecutive_failures = 0"),
        ),
        Index(
            "webhook_endpoints_failing_idx",
            "next_look_at",
            postgresql_where=text("consecutive_failures > 0"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    listed: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    event_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    solver: Mapped[str | None] = mapped_column(Text)
    version: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[datetime | None]
    consecutive_failures: Mapped[int] = mapped_column(Integer, server_default="0")
    failing_since: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    next_look_at: Mapped[datetime | None]


class WebhookSecret(Base):
    """A secret that signs, encrypted; after a rotation the old one signs until `valid_until`.

    `owner_id` is a listed endpoint, or the tenant: one secret for all its `webhook_url`s.
    """

    __tablename__ = "webhook_secrets"
    __table_args__ = (
        Index("webhook_secrets_owner_id_idx", "owner_id"),
        Index(
            "webhook_secrets_current_idx",
            "owner_id",
            unique=True,
            postgresql_where=text("valid_until IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    owner_id: Mapped[UUID]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    valid_until: Mapped[datetime | None]


class WebhookDelivery(Base):
    """The outbox: an event that is owed to an endpoint until `delivered_at` or `failed_at`.

    `payload` is the event as readers of the feed see it, without cursor; it is kept here because
    events are pruned on their own. `job_id` and `seq` are NULL in a test. `attempts` counts since
    the delivery was last asked for; an attempt in progress has `lease_id` and `lease_until`, by the
    database's clock. `last_*` tell of the last attempt that ended. What is `seen` counts in its
    endpoint's `next_look_at`.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("delivered_at IS NULL OR failed_at IS NULL", name="one_end"),
        Index(
            "webhook_deliveries_pending_idx",
            "endpoint_id",
            "next_attempt_at",
            postgresql_where=text("delivered_at IS NULL AND failed_at IS NULL"),
        ),
        Index(
            "webhook_deliveries_oldest_idx",
            "created_at",
            postgresql_where=text("delivered_at IS NULL AND failed_at IS NULL"),
        ),
        Index(
            "webhook_deliveries_unseen_idx",
            "id",
            postgresql_where=text("NOT seen AND delivered_at IS NULL AND failed_at IS NULL"),
        ),
        Index(
            "webhook_deliveries_leased_idx",
            "endpoint_id",
            postgresql_where=text("lease_id IS NOT NULL"),
        ),
        Index("webhook_deliveries_endpoint_id_idx", "endpoint_id", "id"),
        Index("webhook_deliveries_ended_idx", text("coalesce(delivered_at, failed_at)")),
        Index(
            "webhook_deliveries_failed_idx",
            "endpoint_id",
            "failed_at",
            postgresql_where=text("failed_at IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id"))
    job_id: Mapped[UUID | None]
    seq: Mapped[int | None] = mapped_column(Integer)
    event_type: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    lease_id: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    last_duration_s: Mapped[float | None] = mapped_column(Double)
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str | None] = mapped_column(Text)

"""The tables of webhooks: endpoints, and one delivery per event and endpoint."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ForeignKey, Index, Integer, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from optimized_tsp.core.database import Base

__all__ = ["WebhookDelivery", "WebhookEndpoint"]


class WebhookEndpoint(Base):
    """An address that wants events; NULL filters mean everything. The secret is encrypted."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index("webhook_endpoints_tenant_id_idx", "tenant_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    event_types: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    solver: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]


class WebhookDelivery(Base):
    """The outbox: an event that is owed to an endpoint until `delivered_at` or `failed_at`."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "webhook_deliveries_due_idx",
            "next_attempt_at",
            postgresql_where=text("delivered_at IS NULL AND failed_at IS NULL"),
        ),
        Index("webhook_deliveries_endpoint_id_idx", "endpoint_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id"))
    job_id: Mapped[UUID]
    seq: Mapped[int] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)

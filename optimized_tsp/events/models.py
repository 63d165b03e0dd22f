"""The table of events."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Identity,
    Index,
    Integer,
    Sequence,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from optimized_tsp.core.database import Base

__all__ = ["FEED_POSITIONS", "Event", "FeedRetention"]

FEED_POSITIONS = Sequence("feed_positions", metadata=Base.metadata)
"""Gives positions after commit, in commit order, to whoever holds the feed's lock."""


class Event(Base):
    """One event of one job. Written with the change it tells of, in the same transaction.

    `position` is NULL until the event is committed and `events.log.sequence` gave it its place.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("events_unsequenced_idx", "id", postgresql_where=text("position IS NULL")),
        Index("events_position_idx", "position", unique=True),
    )

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    position: Mapped[int | None] = mapped_column(BigInteger)
    type: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    tenant_id: Mapped[UUID]
    solver: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    tags: Mapped[dict[str, Any]]
    data: Mapped[dict[str, Any]]


class FeedRetention(Base):
    """One row, from the first pruning on: events up to `pruned_through` are gone.

    It says which cursors have expired, and keeps the feed's place when nothing is left of it.
    """

    __tablename__ = "feed_retention"
    __table_args__ = (CheckConstraint("one_row", name="one_row"),)

    one_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    pruned_through: Mapped[int] = mapped_column(BigInteger)

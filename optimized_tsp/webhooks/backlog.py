"""What is owed to webhooks and what may be forgotten of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, text

from optimized_tsp.core.database import ReadSession, WriteSession
from optimized_tsp.webhooks.models import WebhookDelivery

__all__ = ["Backlog", "find_backlog", "prune_deliveries"]

_PRUNE = text(
    """
    DELETE FROM webhook_deliveries WHERE id IN (
        SELECT id FROM webhook_deliveries
        WHERE coalesce(delivered_at, failed_at) < now() - CAST(:keep AS interval)
        LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING id
    """
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Deliveries that are not ended: all, and those whose time has come. Ages in seconds."""

    pending: int
    oldest_pending_s: float
    """Since the oldest of them was made; 0 when there is none."""
    due: int
    oldest_s: float
    """For how long the first of them is due."""


async def find_backlog(session: ReadSession) -> Backlog:
    """What waits, and what of it should be on its way by now.

    Each part is in an index of its own: payloads make rows wide.
    """
    pending = (WebhookDelivery.delivered_at.is_(None), WebhookDelivery.failed_at.is_(None))
    oldest = select(func.min(WebhookDelivery.created_at)).where(*pending).scalar_subquery()
    due = func.count().filter(WebhookDelivery.next_attempt_at <= func.now())
    row = (
        await session.execute(
            select(
                func.count().label("pending"),
                _age_s(oldest).label("oldest_pending_s"),
                due.label("due"),
                _age_s(func.min(WebhookDelivery.next_attempt_at)).label("oldest_s"),
            ).where(*pending)
        )
    ).one()
    return Backlog(row.pending, float(row.oldest_pending_s), row.due, float(row.oldest_s))


def _age_s(moment: ColumnElement[Any]) -> ColumnElement[float]:
    """Seconds since then; 0 when it is to come, or NULL."""
    since = func.extract("epoch", func.now() - moment)
    return func.greatest(func.coalesce(since, 0), 0)


async def prune_deliveries(session: WriteSession, *, keep: timedelta, limit: int) -> int:
    """Forget deliveries that ended longer ago than `keep`; returns how many."""
    removed = await session.execute(_PRUNE, {"keep": keep, "limit": limit})
    return len(removed.all())

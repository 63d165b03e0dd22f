"""What is owed to webhooks and what may be forgotten of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text

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
    """Deliveries whose time has come, and for how many seconds that of the first has."""

    due: int
    oldest_s: float


async def find_backlog(session: ReadSession) -> Backlog:
    """What should be on its way by now."""
    oldest = func.extract("epoch", func.now() - func.min(WebhookDelivery.next_attempt_at))
    row = (
        await session.execute(
            select(func.count().label("due"), oldest.label("oldest_s")).where(
                WebhookDelivery.delivered_at.is_(None),
                WebhookDelivery.failed_at.is_(None),
                WebhookDelivery.next_attempt_at <= func.now(),
            )
        )
    ).one()
    return Backlog(row.due, float(row.oldest_s or 0))


async def prune_deliveries(session: WriteSession, *, keep: timedelta, limit: int) -> int:
    """Forget deliveries that ended longer ago than `keep`; returns how many."""
    removed = await session.execute(_PRUNE, {"keep": keep, "limit": limit})
    return len(removed.all())

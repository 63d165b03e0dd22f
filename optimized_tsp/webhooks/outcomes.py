"""How attempts end: delivered, to be repeated, failed for good; and what that says of an endpoint.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from sqlalchemy import ARRAY, Double, Integer, Uuid, bindparam, func, select, text, update

from optimized_tsp.core.database import WriteSession
from optimized_tsp.webhooks.claims import Claimed, fail_pending
from optimized_tsp.webhooks.looks import plan_looks
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.schedule import FAILURES_UNTIL_PAUSED, Schedule

__all__ = ["Delivered", "Failure", "record_delivered", "record_failure"]

_RATE_LIMITS = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

# In the order of their ids: two workers that heal the same endpoints do not wait for each other.
_HEAL = text(
    """
    WITH failing AS (
        SELECT id FROM webhook_endpoints
        WHERE id = ANY (:endpoints) AND (consecutive_failures > 0 OR paused_until IS NOT NULL)
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE webhook_endpoints AS e
    SET consecutive_failures = 0, failing_since = NULL, paused_until = NULL,
        next_look_at = now()
    FROM failing WHERE e.id = failing.id
    """
).bindparams(bindparam("endpoints", type_=ARRAY(Uuid())))

_DELIVERED = text(
    """
    UPDATE webhook_deliveries AS d
    SET delivered_at = now(), failed_at = NULL, attempts = attempts + 1, last_attempt_at = now(),
        last_duration_s = ended.duration_s, last_status = ended.status, last_error = NULL,
        lease_id = NULL, lease_until = NULL
    FROM unnest(:ids, :statuses, :durations_s) AS ended (id, status, duration_s)
    WHERE d.id = ended.id AND d.delivered_at IS NULL
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("statuses", type_=ARRAY(Integer())),
    bindparam("durations_s", type_=ARRAY(Double())),
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """An attempt that was answered with a 2xx."""

    claimed: Claimed
    status: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt without a 2xx."""

    error: str
    """A sentence for the owner of the endpoint."""
    status: int | None = None
    retry_after_s: float = 0.0


async def record_delivered(delivered: Sequence[Delivered], *, session: WriteSession) -> None:
    """These are delivered, whoever holds their leases by now, and their endpoints are well."""
    endpoints = {each.claimed.endpoint.id for each in delivered}
    await session.execute(_HEAL, {"endpoints": list(endpoints)})
    await session.execute(
        _DELIVERED,
        {
            "ids": [each.claimed.id for each in delivered],
            "statuses": [each.status for each in delivered],
            "durations_s": [each.duration_s for each in delivered],
        },
    )


async def record_failure(
    claimed: Claimed,
    failure: Failure,
    duration_s: float,
    schedule: Schedule,
    *,
    session: WriteSession,
) -> None:
    """An attempt failed: to be repeated by the schedule, or failed for good after the last one.

    Nothing is written when the lease was lost: the attempt is somebody else's by now.
    """
    endpoint = await session.get_one(
        WebhookEndpoint, claimed.endpoint.id, with_for_update={"key_share": True}
    )
    delivery = await session.scalar(
        select(WebhookDelivery)
        .where(WebhookDelivery.id == claimed.id, WebhookDelivery.lease_id == claimed.lease_id)
        .where(WebhookDelivery.delivered_at.is_(None), WebhookDelivery.failed_at.is_(None))
        .with_for_update(key_share=True)
    )
    if delivery is None:
        return
    wait_s = schedule.next_attempt_s(delivery.attempts + 1, retry_after_s=failure.retry_after_s)
    again: dict[str, Any] = (
        {"failed_at": func.now()}
        if wait_s is None
        else {"next_attempt_at": func.now() + timedelta(seconds=wait_s)}
    )
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == claimed.id)
        .values(
            attempts=delivery.attempts + 1,
            last_attempt_at=func.now(),
            last_duration_s=duration_s,
            last_status=failure.status,
            last_error=failure.error,
            lease_id=None,
            lease_until=None,
            **again,
        )
    )
    await _count_against(session, endpoint, failure, schedule)
    await plan_looks(session, [endpoint.id])


async def _count_against(
    session: WriteSession, endpoint: WebhookEndpoint, failure: Failure, schedule: Schedule
) -> None:
    """What a failure means for the endpoint (locked) and for all it is owed."""
    endpoint.consecutive_failures += 1
    if endpoint.failing_since is None:
        endpoint.failing_since = func.now()
    pause_s = schedule.pause_s(endpoint.consecutive_failures)
    if failure.status in _RATE_LIMITS:
        pause_s = max(pause_s, failure.retry_after_s)
    if pause_s > 0:
        until = func.now() + timedelta(seconds=pause_s)
        endpoint.paused_until = func.greatest(WebhookEndpoint.paused_until, until)
    if failure.status == HTTPStatus.GONE and endpoint.disabled_at is None:
        endpoint.disabled_at = func.now()
        endpoint.disabled_reason = "The receiver answered 410 Gone."
    await session.flush()
    if failure.status == HTTPStatus.GONE:
        await fail_pending(
            session, [endpoint.id], "The endpoint is disabled: it answered 410 Gone."
        )
    elif endpoint.consecutive_failures >= FAILURES_UNTIL_PAUSED:
        await _fail_held_too_long(session, endpoint, schedule)


async def _fail_held_too_long(
    session: WriteSession, endpoint: WebhookEndpoint, schedule: Schedule
) -> None:
    """Deliveries that a silent endpoint keeps waiting fail when it has been silent for a schedule.

    Attempts go one by one then, and what is owed may be more than can be tried.
    """
    total = timedelta(seconds=schedule.total_s)
    silent = select(WebhookEndpoint.failing_since < func.now() - total)
    if await session.scalar(silent.where(WebhookEndpoint.id == endpoint.id)):
        await fail_pending(
            session,
            [endpoint.id],
            "The endpoint has not answered for as long as deliveries are tried.",
            waiting=total,
        )

"""Claiming deliveries that are due, and giving them back.

Every function runs inside the caller's transaction. A claim is a lease by the database's clock:
who dies in the middle of an attempt leaves a delivery that is due again when the lease has run out,
under the same id. `attempts` counts attempts that were recorded, so dying is none.

Endpoints are locked before their deliveries, with a lock that a new delivery (its foreign key) does
not wait for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Uuid, bindparam, func, or_, select, text, update

from optimized_tsp.core.database import WriteSession
from optimized_tsp.core.ids import new_id
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.schedule import FAILURES_UNTIL_PAUSED
from optimized_tsp.webhooks.secrets import NoWebhookKey, SecretBox, signing_secrets

__all__ = ["AT_ONCE_PER_ENDPOINT", "Claimed", "claim_due", "fail_pending", "give_back", "put_off"]

logger = structlog.get_logger(__name__)

AT_ONCE_PER_ENDPOINT = 4
"""Attempts under way to one endpoint, counted over all workers."""

_FAILED_AT_ONCE = 1000
_PENDING = "{0}.delivered_at IS NULL AND {0}.failed_at IS NULL"
_DUE = (
    _PENDING
    + " AND {0}.next_attempt_at <= now() AND ({0}.lease_until IS NULL OR {0}.lease_until <= now())"
)
# From endpoint to endpoint along the index: an endpoint that is owed a hundred thousand deliveries
# costs as much as one that is owed one. Whoever answered last time goes first.
_LOCK_ENDPOINTS = text(
    f"""
    WITH RECURSIVE owed AS (
        (SELECT d.endpoint_id FROM webhook_deliveries AS d WHERE {_PENDING.format("d")}
         ORDER BY d.endpoint_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.endpoint_id FROM webhook_deliveries AS d
                WHERE {_PENDING.format("d")} AND d.endpoint_id > owed.endpoint_id
                ORDER BY d.endpoint_id LIMIT 1)
        FROM owed WHERE owed.endpoint_id IS NOT NULL
    )
    SELECT e.id, e.disabled_at IS NOT NULL AS disabled
    FROM webhook_endpoints AS e JOIN owed ON owed.endpoint_id = e.id
    WHERE e.disabled_at IS NOT NULL OR (
        (e.paused_until IS NULL OR e.paused_until <= now())
        AND (SELECT d.next_attempt_at FROM webhook_deliveries AS d
             WHERE d.endpoint_id = e.id AND {_DUE.format("d")}
             ORDER BY d.next_attempt_at LIMIT 1) IS NOT NULL)
    ORDER BY e.consecutive_failures > 0, random() LIMIT :most
    FOR NO KEY UPDATE OF e SKIP LOCKED
    """  # noqa: S608 - constants of ours
)

# A statement of its own: it sees what whoever held the locks before us has claimed.
_CLAIM = (
    text(
        f"""
        WITH chosen AS (
            SELECT due.id
            FROM webhook_endpoints AS e CROSS JOIN LATERAL (
                SELECT d.id FROM webhook_deliveries AS d
                WHERE d.endpoint_id = e.id AND {_DUE.format("d")}
                ORDER BY d.next_attempt_at
                LIMIT greatest(0, CASE WHEN e.consecutive_failures < {FAILURES_UNTIL_PAUSED}
                                       THEN {AT_ONCE_PER_ENDPOINT} ELSE 1 END
                    - (SELECT count(*) FROM webhook_deliveries AS under_way
                       WHERE under_way.endpoint_id = e.id AND under_way.lease_id IS NOT NULL
                         AND under_way.lease_until > now()))
            ) AS due
            WHERE e.id = ANY (:endpoints) LIMIT :most
        )
        UPDATE webhook_deliveries AS d
        SET lease_id = :lease_id, lease_until = now() + CAST(:lease AS interval)
        FROM chosen WHERE d.id = chosen.id
        RETURNING d.id, d.endpoint_id, d.payload
        """  # noqa: S608 - constants of ours
    )
    .bindparams(bindparam("endpoints", type_=ARRAY(Uuid())), bindparam("lease_id", type_=Uuid()))
    .columns(WebhookDelivery.id, WebhookDelivery.endpoint_id, WebhookDelivery.payload)
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery to attempt now."""

    id: UUID
    lease_id: UUID
    endpoint: WebhookEndpoint = field(repr=False)
    payload: dict[str, Any] = field(repr=False)
    secrets: list[str] = field(repr=False)
    """Newest first; none when they cannot be read."""


async def claim_due(
    session: WriteSession, box: SecretBox, *, most: int, lease_s: float
) -> list[Claimed]:
    """Claim at most `most` deliveries that are due, of each endpoint what it may have at once.

    What a disabled endpoint is still owed has failed.
    """
    locked = (await session.execute(_LOCK_ENDPOINTS, {"most": most})).all()
    if disabled := [row.id for row in locked if row.disabled]:
        await fail_pending(session, disabled, "The endpoint is disabled.")
    enabled = [row.id for row in locked if not row.disabled]
    if not enabled:
        return []
    lease_id = new_id()
    rows = await session.execute(
        _CLAIM,
        {
            "endpoints": enabled,
            "most": most,
            "lease_id": lease_id,
            "lease": timedelta(seconds=lease_s),
        },
    )
    claimed = rows.all()
    wanted = {row.endpoint_id for row in claimed}
    found = await session.scalars(select(WebhookEndpoint).where(WebhookEndpoint.id.in_(wanted)))
    endpoints = {endpoint.id: endpoint for endpoint in found}
    secrets = {
        endpoint.id: await _secrets(session, endpoint, box) for endpoint in endpoints.values()
    }
    return [
        Claimed(row.id, lease_id, endpoints[row.endpoint_id], row.payload, secrets[row.endpoint_id])
        for row in claimed
    ]


async def put_off(claimed: Claimed, *, wait_s: float, session: WriteSession) -> None:
    """No attempt was made as there is no key to sign with: try later."""
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == claimed.id, WebhookDelivery.lease_id == claimed.lease_id)
        .values(
            lease_id=None,
            lease_until=None,
            last_error="It could not be signed.",
            next_attempt_at=func.now() + timedelta(seconds=wait_s),
        )
    )


async def give_back(claims: Collection[Claimed], *, session: WriteSession) -> None:
    """End the leases of attempts that were broken off, so that nobody waits for them."""
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_([claimed.id for claimed in claims]))
        .where(WebhookDelivery.lease_id.in_([claimed.lease_id for claimed in claims]))
        .values(lease_id=None, lease_until=None)
    )


async def _secrets(session: WriteSession, endpoint: WebhookEndpoint, box: SecretBox) -> list[str]:
    try:
        return await signing_secrets(session, endpoint, box)
    except NoWebhookKey as error:
        logger.error("webhooks_unsigned", endpoint=str(endpoint.id), error=str(error))  # noqa: TRY400
        return []


async def fail_pending(
    session: WriteSession,
    endpoints: Sequence[UUID],
    error: str,
    *,
    waiting: timedelta | None = None,
) -> None:
    """Fail what is not under way (and due for at least `waiting`); of very many, some."""
    unclaimed = or_(
        WebhookDelivery.lease_until.is_(None), WebhookDelivery.lease_until <= func.now()
    )
    some = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.endpoint_id.in_(endpoints), unclaimed)
        .where(WebhookDelivery.delivered_at.is_(None), WebhookDelivery.failed_at.is_(None))
        .limit(_FAILED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    if waiting is not None:
        some = some.where(WebhookDelivery.next_attempt_at <= func.now() - waiting)
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_(some))
        .values(failed_at=func.now(), last_error=error, lease_id=None, lease_until=None)
    )

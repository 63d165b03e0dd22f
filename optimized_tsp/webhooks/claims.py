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
from sqlalchemy import ARRAY, Integer, Text, Uuid, bindparam, func, or_, select, text, update

from optimized_tsp.core.database import WriteSession
from optimized_tsp.core.ids import new_id
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.schedule import FAILURES_UNTIL_PAUSED
from optimized_tsp.webhooks.secrets import NoWebhookKey, SecretBox, owner, signing_secrets
from optimized_tsp.webhooks.shares import Shares

__all__ = ["AT_ONCE_PER_ENDPOINT", "Claimed", "claim_due", "fail_pending", "give_back", "put_off"]

logger = structlog.get_logger(__name__)

AT_ONCE_PER_ENDPOINT = 4
"""Attempts under way to one endpoint, counted over all workers."""

_FAILED_AT_ONCE = 1000
_HOST_OF_URL = "lower(substring(e.url FROM '//([^/?#]*)'))"
_HOST = f"{_HOST_OF_URL} AS host"
_PENDING = "{0}.delivered_at IS NULL AND {0}.failed_at IS NULL"
_DUE = (
    _PENDING
    + " AND {0}.next_attempt_at <= now() AND ({0}.lease_until IS NULL OR {0}.lease_until <= now())"
)
# From endpoint to endpoint along the index: an endpoint that is owed a hundred thousand deliveries
# costs as much as one that is owed one. Tenants take turns, and their hosts; whoever answered last
# time goes first. Conditions on columns that others change are asked again under the lock.
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
    ), wanting AS (
        SELECT e.id, e.tenant_id, {_HOST}, e.consecutive_failures > 0 AS failing, due.number
        FROM webhook_endpoints AS e JOIN owed ON owed.endpoint_id = e.id
        CROSS JOIN LATERAL (SELECT count(*) AS number FROM (
            SELECT FROM webhook_deliveries AS d WHERE d.endpoint_id = e.id AND {_DUE.format("d")}
            ORDER BY d.next_attempt_at LIMIT {AT_ONCE_PER_ENDPOINT}) AS first) AS due
        WHERE e.disabled_at IS NOT NULL OR (
            (e.paused_until IS NULL OR e.paused_until <= now()) AND due.number > 0
            AND e.tenant_id <> ALL (:full_tenants)
            AND (e.tenant_id || ' ' || {_HOST_OF_URL}) <> ALL (:full_hosts))
    ), of_host AS (
        SELECT *, row_number() OVER (
            PARTITION BY tenant_id, host ORDER BY failing, random()) AS turn_of_host
        FROM wanting
    ), of_tenant AS (
        SELECT *, row_number() OVER (
            PARTITION BY tenant_id ORDER BY failing, turn_of_host, random()) AS turn
        FROM of_host
    )
    SELECT e.id, e.disabled_at IS NOT NULL AS disabled, e.tenant_id, of_tenant.host,
           of_tenant.number
    FROM webhook_endpoints AS e JOIN of_tenant ON of_tenant.id = e.id
    WHERE e.disabled_at IS NOT NULL OR e.paused_until IS NULL OR e.paused_until <= now()
    ORDER BY of_tenant.failing, of_tenant.turn, random() LIMIT :most
    FOR NO KEY UPDATE OF e SKIP LOCKED
    """  # noqa: S608 - constants of ours
).bindparams(
    bindparam("full_tenants", type_=ARRAY(Uuid())), bindparam("full_hosts", type_=ARRAY(Text()))
)

# A statement of its own: it sees what whoever held the locks before us has claimed.
_CLAIM = (
    text(
        f"""
        WITH chosen AS (
            SELECT due.id
            FROM webhook_endpoints AS e
            JOIN unnest(:endpoints, :allowed) AS may (id, number) ON may.id = e.id
            CROSS JOIN LATERAL (
                SELECT d.id FROM webhook_deliveries AS d
                WHERE d.endpoint_id = e.id AND {_DUE.format("d")}
                ORDER BY d.next_attempt_at
                LIMIT least(may.number, greatest(0,
                    CASE WHEN e.consecutive_failures < {FAILURES_UNTIL_PAUSED}
                         THEN {AT_ONCE_PER_ENDPOINT} ELSE 1 END
                    - (SELECT count(*) FROM webhook_deliveries AS under_way
                       WHERE under_way.endpoint_id = e.id AND under_way.lease_id IS NOT NULL
                         AND under_way.lease_until > now())))
            ) AS due
        )
        UPDATE webhook_deliveries AS d
        SET lease_id = :lease_id, lease_until = now() + CAST(:lease AS interval)
        FROM chosen WHERE d.id = chosen.id
        RETURNING d.id, d.endpoint_id, d.payload
        """  # noqa: S608 - constants of ours
    )
    .bindparams(
        bindparam("endpoints", type_=ARRAY(Uuid())),
        bindparam("allowed", type_=ARRAY(Integer())),
        bindparam("lease_id", type_=Uuid()),
    )
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
    host: str
    """Of the URL, with its port."""

    @property
    def tenant_id(self) -> UUID:
        """Whose share of the attempts this one takes."""
        return self.endpoint.tenant_id


async def claim_due(
    session: WriteSession,
    box: SecretBox,
    *,
    most: int,
    lease_s: float,
    under_way: Collection[Claimed] = (),
) -> list[Claimed]:
    """Claim at most `most` deliveries that are due, of each endpoint what it may have at once.

    Nobody gets more than a share (`Shares`), counted with what is `under_way` in this process.
    What a disabled endpoint is still owed has failed.
    """
    shares = Shares(most, under_way)
    full = {"full_tenants": shares.full_tenants, "full_hosts": shares.full_hosts}
    locked = (await session.execute(_LOCK_ENDPOINTS, {"most": most, **full})).all()
    if disabled := [row.id for row in locked if row.disabled]:
        await fail_pending(session, disabled, "The endpoint is disabled.")
    enabled = {row.id: row for row in locked if not row.disabled}
    allowed = shares.hand_out([(row.id, row, row.number) for row in enabled.values()])
    if not allowed:
        return []
    lease_id = new_id()
    rows = await session.execute(
        _CLAIM,
        {
            "endpoints": list(allowed),
            "allowed": list(allowed.values()),
            "lease_id": lease_id,
            "lease": timedelta(seconds=lease_s),
        },
    )
    claimed = rows.all()
    wanted = {row.endpoint_id for row in claimed}
    found = await session.scalars(select(WebhookEndpoint).where(WebhookEndpoint.id.in_(wanted)))
    endpoints = {endpoint.id: endpoint for endpoint in found}
    sealed = await signing_secrets(session, endpoints.values())
    secrets = {
        endpoint.id: _opened(sealed[endpoint.id], endpoint, box) for endpoint in endpoints.values()
    }
    return [
        Claimed(
            row.id,
            lease_id,
            endpoints[row.endpoint_id],
            row.payload,
            secrets[row.endpoint_id],
            enabled[row.endpoint_id].host,
        )
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


def _opened(sealed: Sequence[bytes], endpoint: WebhookEndpoint, box: SecretBox) -> list[str]:
    try:
        return [box.open(secret, owner(endpoint)) for secret in sealed]
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

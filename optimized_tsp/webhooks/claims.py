"""Claiming deliveries that are due, and giving them back.

Every function runs inside the caller's transaction. A claim is a lease by the database's clock:
who dies in the middle of an attempt leaves a delivery that is due again when the lease has run out,
under the same id. `attempts` counts attempts that were recorded, so dying is none.

Endpoints are locked before their deliveries, with a lock that a new delivery (its foreign key) does
not wait for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Row,
    Text,
    Uuid,
    bindparam,
    column,
    func,
    or_,
    select,
    text,
    update,
)

from optimized_tsp.core.database import WriteSession
from optimized_tsp.core.ids import new_id
from optimized_tsp.webhooks.looks import (
    HOST,
    LOOKED_AT,
    PENDING,
    lock,
    plan_looks,
)
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.schedule import FAILURES_UNTIL_PAUSED
from optimized_tsp.webhooks.secrets import NoWebhookKey, SecretBox, Signed, owner, signing_secrets
from optimized_tsp.webhooks.shares import Shares, in_turns

__all__ = [
    "AT_ONCE_PER_ENDPOINT",
    "Claimed",
    "Found",
    "claim_due",
    "fail_pending",
    "give_back",
    "put_off",
]

AT_ONCE_PER_ENDPOINT = 4
"""Attempts under way to one endpoint, counted over all workers."""

_FAILED_AT_ONCE = 1000
_DUE = (
    f"d.endpoint_id = e.id AND {PENDING} AND d.next_attempt_at <= now()"
    " AND (d.lease_until IS NULL OR d.lease_until <= now())"
)
# Of locked endpoints, and in statements of their own: they see what whoever held the locks before
# us has claimed.
_WANTING = text(
    f"""
    SELECT e.id, e.tenant_id, e.listed, e.url, {HOST} AS host,
           e.consecutive_failures > 0 AS failing,
           e.disabled_at IS NOT NULL AS disabled,
           coalesce(e.paused_until > now(), false) AS paused,
           due.number AS due,
           greatest(0, CASE WHEN e.consecutive_failures < {FAILURES_UNTIL_PAUSED}
                            THEN {AT_ONCE_PER_ENDPOINT} ELSE 1 END - under_way.number) AS room
    FROM webhook_endpoints AS e
    CROSS JOIN LATERAL (SELECT count(*)::int AS number FROM (
        SELECT FROM webhook_deliveries AS d WHERE {_DUE}
        ORDER BY d.next_attempt_at LIMIT {AT_ONCE_PER_ENDPOINT}) AS first) AS due
    CROSS JOIN LATERAL (SELECT count(*)::int AS number FROM webhook_deliveries AS d
        WHERE d.endpoint_id = e.id AND d.lease_id IS NOT NULL AND d.lease_until > now()
        ) AS under_way
    WHERE e.id = ANY (:locked)
    """  # noqa: S608 - constants of ours
).bindparams(bindparam("locked", type_=ARRAY(Uuid())))

# Jobs stay in SQL for ever: the request is named even if a delivery is asked for again much later.
_CLAIM = (
    text(
        f"""
        WITH chosen AS (
            SELECT due.id
            FROM unnest(:endpoints, :allowed) AS e (id, number)
            CROSS JOIN LATERAL (
                SELECT d.id FROM webhook_deliveries AS d WHERE {_DUE}
                ORDER BY d.next_attempt_at LIMIT e.number
            ) AS due
        )
        UPDATE webhook_deliveries AS d
        SET seen = true, lease_id = :lease_id, lease_until = now() + CAST(:lease AS interval)
        FROM chosen WHERE d.id = chosen.id
        RETURNING d.id, d.endpoint_id, d.payload,
                  (SELECT jobs.request_id FROM jobs WHERE jobs.id = d.job_id) AS request_id
        """  # noqa: S608 - constants of ours
    )
    .bindparams(
        bindparam("endpoints", type_=ARRAY(Uuid())),
        bindparam("allowed", type_=ARRAY(Integer())),
        bindparam("lease_id", type_=Uuid()),
    )
    .columns(
        WebhookDelivery.id,
        WebhookDelivery.endpoint_id,
        WebhookDelivery.payload,
        column("request_id", Text()),
    )
)


class Receiver(Signed, Protocol):
    """What of an endpoint an attempt needs."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery to attempt now."""

    id: UUID
    lease_id: UUID
    endpoint: Receiver = field(repr=False)
    payload: dict[str, Any] = field(repr=False)
    secrets: list[str] = field(repr=False)
    """Newest first; none when they cannot be read, and then `unsigned` says why."""
    unsigned: str
    host: str
    """Of the URL, with its port."""
    request_id: str | None
    """The request its job came with."""

    @property
    def tenant_id(self) -> UUID:
        """Whose share of the attempts this one takes."""
        return self.endpoint.tenant_id


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found."""

    claimed: list[Claimed]
    more: bool = False
    """Whether there may be more that can be attempted now: look again at once."""


async def claim_due(
    session: WriteSession,
    box: SecretBox,
    *,
    most: int,
    lease_s: float,
    under_way: Collection[Claimed] = (),
    with_room: Collection[UUID] = (),
) -> Found:
    """Claim at most `most` deliveries that are due, of each endpoint what it may have at once.

    Nobody gets more than a share (`Shares`), counted with what is `under_way` in this process.
    Attempts to the endpoints `with_room` have just ended. What a disabled endpoint is still owed
    has failed.
    """
    shares = Shares(most, under_way)
    locked = await lock(
        session,
        full_tenants=shares.full_tenants,
        full_hosts=shares.full_hosts,
        with_room=with_room,
    )
    if not locked:
        return Found([])
    rows = (await session.execute(_WANTING, {"locked": list(locked)})).all()
    if disabled := [row.id for row in rows if row.disabled]:
        await fail_pending(session, disabled, "The endpoint is disabled.")
    wanting = {
        row.id: row for row in rows if row.due and row.room and not (row.disabled or row.paused)
    }
    allowed = shares.hand_out(
        [(row.id, row, min(row.due, row.room)) for row in in_turns(wanting.values())]
    )
    claimed = await _claim(session, allowed, wanting, box, lease_s) if allowed else []
    given = Counter(each.endpoint.id for each in claimed)
    full = [row.id for row in rows if row.room == given[row.id]]
    await plan_looks(session, locked, full=full)
    return Found(claimed, more=len(locked) >= LOOKED_AT)


async def _claim(
    session: WriteSession,
    allowed: Mapping[UUID, int],
    wanting: Mapping[UUID, Row[Any]],
    box: SecretBox,
    lease_s: float,
) -> list[Claimed]:
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
    endpoints = {row.endpoint_id: wanting[row.endpoint_id] for row in claimed}
    sealed = await signing_secrets(session, endpoints.values())
    opened = {
        endpoint.id: _opened(sealed[endpoint.id], endpoint, box) for endpoint in endpoints.values()
    }
    return [
        Claimed(
            row.id,
            lease_id,
            endpoints[row.endpoint_id],
            row.payload,
            *opened[row.endpoint_id],
            endpoints[row.endpoint_id].host,
            row.request_id,
        )
        for row in claimed
    ]


async def put_off(claimed: Claimed, *, wait_s: float, session: WriteSession) -> None:
    """No attempt was made as there is no key to sign with: try later."""
    await _lock(session, [claimed.endpoint.id])
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == claimed.id, WebhookDelivery.lease_id == claimed.lease_id)
        .values(
            lease_id=None,
            lease_until=None,
            last_error="It could not be signed: the service cannot read the secret. It waits.",
            next_attempt_at=func.now() + timedelta(seconds=wait_s),
        )
    )
    await plan_looks(session, [claimed.endpoint.id])


async def give_back(claims: Collection[Claimed], *, session: WriteSession) -> None:
    """End the leases of attempts that were broken off, so that nobody waits for them."""
    endpoints = {claimed.endpoint.id for claimed in claims}
    await _lock(session, endpoints)
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_([claimed.id for claimed in claims]))
        .where(WebhookDelivery.lease_id.in_([claimed.lease_id for claimed in claims]))
        .values(lease_id=None, lease_until=None)
    )
    await plan_looks(session, endpoints)


async def _lock(session: WriteSession, endpoints: Collection[UUID]) -> None:
    """In the order of their ids: two workers that lock the same do not wait for each other."""
    locking = select(WebhookEndpoint.id).where(WebhookEndpoint.id.in_(endpoints))
    await session.execute(locking.order_by(WebhookEndpoint.id).with_for_update(key_share=True))


def _opened(sealed: Sequence[bytes], endpoint: Receiver, box: SecretBox) -> tuple[list[str], str]:
    """The secrets that sign, or none and why."""
    if not sealed:
        return [], "There is no secret; its endpoint was deleted."
    try:
        return box.open_signing(sealed, owner(endpoint)), ""
    except NoWebhookKey as error:
        return [], str(error)


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

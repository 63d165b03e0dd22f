"""Which endpoints have something to attempt, found without asking those that have nothing.

`next_look_at` of an endpoint is never later than the moment at which a delivery it is owed can be
attempted; NULL: none waits. Whoever changes that holds the endpoint's lock (`FOR NO KEY UPDATE`,
which new deliveries with their foreign key do not wait for), and calls `plan_looks` after it or
sets the column to now. New deliveries do neither, so that jobs never wait for each other at an
endpoint: they are `seen` by the first look after their commit. So is a lease that has run out.

Every function runs inside the caller's transaction. Looks wait for no lock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text

from optimized_tsp.core.database import WriteSession

__all__ = ["HOST", "LOCK", "LOOKED_AT", "PENDING", "check_plans", "lock", "plan_looks"]

LOOKED_AT = 256
"""Endpoints (of each kind) and new deliveries that one look takes up."""

# Asked of every due endpoint when a host has all it may: a twentieth of what a regular expression
# takes. `check_url` accepts no URL that has something else there.
HOST = "lower(split_part(split_part(e.url, '/', 3), '?', 1))"
PENDING = "d.delivered_at IS NULL AND d.failed_at IS NULL"
_CHECKED_AT_ONCE = 500
_FIRST = UUID(int=0)

_DUE = f"""
    e.next_look_at <= now() AND e.tenant_id <> ALL (:full_tenants)
    AND (e.tenant_id || ' ' || {HOST}) <> ALL (:full_hosts)
    ORDER BY e.next_look_at LIMIT {LOOKED_AT} FOR NO KEY UPDATE SKIP LOCKED
"""
# What is leased is pending; saying so would let Postgres choose an index of all that is. Due ones
# are two lists, so that endpoints that answer are not behind any number of others that fail.
LOCK = text(
    f"""
    WITH unseen AS (
        SELECT d.id, d.endpoint_id FROM webhook_deliveries AS d WHERE NOT d.seen AND {PENDING}
        ORDER BY d.id LIMIT {LOOKED_AT}
    ), lapsed AS (
        SELECT d.id, d.endpoint_id FROM webhook_deliveries AS d
        WHERE d.lease_id IS NOT NULL AND d.lease_until <= now()
        LIMIT {LOOKED_AT} FOR NO KEY UPDATE SKIP LOCKED
    ), changed AS (
        SELECT * FROM unseen UNION SELECT * FROM lapsed
    ), with_changed AS (
        SELECT id FROM webhook_endpoints WHERE id IN (SELECT endpoint_id FROM changed)
        FOR NO KEY UPDATE SKIP LOCKED
    ), noted AS (
        UPDATE webhook_deliveries AS d
        SET seen = true,
            lease_id = CASE WHEN d.lease_until > now() THEN d.lease_id END,
            lease_until = CASE WHEN d.lease_until > now() THEN d.lease_until END
        FROM changed JOIN with_changed AS e ON e.id = changed.endpoint_id WHERE d.id = changed.id
    ), answering AS (
        SELECT e.id FROM webhook_endpoints AS e WHERE e.consecutive_failures = 0 AND {_DUE}
    ), failing AS (
        SELECT e.id FROM webhook_endpoints AS e WHERE e.consecutive_failures > 0 AND {_DUE}
    ), with_room AS (
        SELECT e.id FROM webhook_endpoints AS e
        WHERE e.id = ANY (:with_room) AND e.next_look_at IS NOT NULL
        FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT id FROM with_changed UNION ALL SELECT id FROM answering
    UNION ALL SELECT id FROM failing UNION ALL SELECT id FROM with_room
    """  # noqa: S608 - constants of ours
).bindparams(
    bindparam("full_tenants", type_=ARRAY(Uuid())),
    bindparam("full_hosts", type_=ARRAY(Text())),
    bindparam("with_room", type_=ARRAY(Uuid())),
)

# Where as many attempts are under way as may be, whoever ends one looks at once (`with_room`); a
# second later anybody does.
_PLAN = text(
    f"""
    UPDATE webhook_endpoints AS e SET next_look_at = plan.at
    FROM (
        SELECT e.id, CASE
            WHEN first.at IS NULL THEN NULL
            WHEN e.disabled_at IS NOT NULL THEN now()
            WHEN e.id = ANY (:full) THEN greatest(
                first.at, e.paused_until, now() + interval '1 second')
            ELSE greatest(first.at, e.paused_until)
        END AS at
        FROM webhook_endpoints AS e LEFT JOIN LATERAL (
            SELECT d.next_attempt_at AS at FROM webhook_deliveries AS d
            WHERE d.endpoint_id = e.id AND {PENDING} AND d.lease_id IS NULL
            ORDER BY d.next_attempt_at LIMIT 1
        ) AS first ON true
        WHERE e.id = ANY (:endpoints)
    ) AS plan
    WHERE e.id = plan.id AND e.next_look_at IS DISTINCT FROM plan.at
    """  # noqa: S608 - constants of ours
).bindparams(bindparam("endpoints", type_=ARRAY(Uuid())), bindparam("full", type_=ARRAY(Uuid())))

# From endpoint to endpoint along the index, however much each is owed.
_LOCK_NEXT_OWED = text(
    f"""
    WITH RECURSIVE owed AS (
        (SELECT d.endpoint_id FROM webhook_deliveries AS d
         WHERE {PENDING} AND d.endpoint_id > :after ORDER BY d.endpoint_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.endpoint_id FROM webhook_deliveries AS d
                WHERE {PENDING} AND d.endpoint_id > owed.endpoint_id
                ORDER BY d.endpoint_id LIMIT 1)
        FROM owed WHERE owed.endpoint_id IS NOT NULL
    ), chosen AS (SELECT endpoint_id FROM owed LIMIT {_CHECKED_AT_ONCE})
    SELECT e.id FROM webhook_endpoints AS e JOIN chosen ON chosen.endpoint_id = e.id
    FOR NO KEY UPDATE OF e SKIP LOCKED
    """  # noqa: S608 - constants of ours
)


async def lock(
    session: WriteSession,
    *,
    full_tenants: Sequence[UUID],
    full_hosts: Sequence[str],
    with_room: Collection[UUID],
) -> Sequence[UUID]:
    """Lock endpoints that may have something to attempt, and note what is new; some come twice.

    Those with new deliveries, or with attempts whose worker died; those whose time has come,
    longest due first; and those `with_room` of late.
    """
    full = {"full_tenants": list(full_tenants), "full_hosts": list(full_hosts)}
    return (await session.scalars(LOCK, {**full, "with_room": list(with_room)})).all()


async def plan_looks(
    session: WriteSession, endpoints: Collection[UUID], *, full: Collection[UUID] = ()
) -> None:
    """Set when these endpoints, locked, are looked at next.

    To those that are `full` as many attempts are under way as may be.
    """
    await session.flush()
    await session.execute(_PLAN, {"endpoints": list(endpoints), "full": list(full)})


async def check_plans(session: WriteSession, after: UUID) -> UUID:
    """Plan anew for some of the endpoints that are owed something; returns where to go on.

    Nothing here needs it. It is for deliveries that somebody else changed: an API of the version
    before, an operator in SQL.
    """
    owed = (await session.scalars(_LOCK_NEXT_OWED, {"after": after})).all()
    await plan_looks(session, owed)
    return max(owed, default=_FIRST)

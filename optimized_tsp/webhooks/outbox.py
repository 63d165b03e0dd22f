"""The outbox: events and what is owed because of them are written by one statement.

So there is no moment at which one is without the other, and a tenant without endpoints pays for
nothing but a look into an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from optimized_tsp.core.database import WriteSession
from optimized_tsp.core.ids import new_id
from optimized_tsp.events.log import EVENT_COLUMNS
from optimized_tsp.events.types import EventType
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint

__all__ = [
    "EVENTS_OF_PARAMETER",
    "TEST_EVENT",
    "NewEvent",
    "append_events",
    "appending",
    "message_id",
    "owe_test",
]

TEST_EVENT = "webhook.test"
"""Sent on request only; no job has such an event."""

# A UUID of version 7 (RFC 9562) on any Postgres: 48 bits of milliseconds over a random one, and the
# version's bits. Postgres 18 has uuidv7().
_NEW_ID = """
    encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
"""

EVENTS_OF_PARAMETER = """
    SELECT * FROM jsonb_to_recordset(:events) AS happened (
        job_id uuid, seq integer, type text, tenant_id uuid, solver text, version text,
        tags jsonb, data jsonb, endpoint_id uuid)
"""
"""The query of events that are given as `NewEvent.row`s in the parameter `events` (JSONB)."""


def appending(happened: str) -> str:
    """Common table expressions that append the events of the query `happened`, and what is owed.

    The query has the columns of `EVENTS_OF_PARAMETER`.
    """
    return f"""happened AS ({happened}
    ), event AS (
        INSERT INTO events ({EVENT_COLUMNS})
        SELECT {EVENT_COLUMNS} FROM happened ORDER BY job_id, seq
        RETURNING *
    ), owed AS (
        SELECT event.*, endpoint.id AS endpoint_id
        FROM event JOIN webhook_endpoints AS endpoint ON endpoint.tenant_id = event.tenant_id
        WHERE endpoint.listed AND endpoint.disabled_at IS NULL
          AND event.type = ANY (endpoint.event_types)
          AND coalesce(endpoint.solver = event.solver, true)
          AND coalesce(endpoint.version = event.version, true)
          AND coalesce(event.tags @> endpoint.tags, true)
        UNION ALL
        SELECT event.*, endpoint.id
        FROM event JOIN happened USING (job_id, seq)
        JOIN webhook_endpoints AS endpoint ON endpoint.id = happened.endpoint_id
        WHERE endpoint.disabled_at IS NULL AND event.type = ANY (endpoint.event_types)
    ), delivery AS (
        INSERT INTO webhook_deliveries (id, endpoint_id, job_id, seq, event_type, payload)
        SELECT {_NEW_ID}, endpoint_id, job_id, seq, type, jsonb_build_object(
            'type', type, 'task_id', job_id, 'solver', solver, 'version', version, 'seq', seq,
            'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US"Z"'),
            'data', data)
        FROM owed
    )"""  # noqa: S608 - constants of ours


_APPEND = text(f"WITH {appending(EVENTS_OF_PARAMETER)} SELECT").bindparams(
    bindparam("events", type_=JSONB())
)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """What happened to `job` (anything with the columns of a job).

    `endpoint_id` is the unlisted endpoint of the job's `webhook_url`, if it has one.
    """

    job: Any
    seq: int
    event_type: EventType
    data: dict[str, Any]
    endpoint_id: UUID | None = None

    def row(self) -> dict[str, Any]:
        """Its parameters of the statement, as JSON has them."""
        return {
            "job_id": str(self.job.id),
            "seq": self.seq,
            "type": self.event_type.value,
            "tenant_id": str(self.job.tenant_id),
            "solver": self.job.solver,
            "version": self.job.version,
            "tags": self.job.tags,
            "data": self.data,
            "endpoint_id": None if self.endpoint_id is None else str(self.endpoint_id),
        }


def message_id(delivery_id: UUID) -> str:
    """The `webhook-id` of a delivery, the same at every attempt and in the API."""
    return f"msg_{delivery_id.hex}"


async def append_events(session: WriteSession, events: Sequence[NewEvent]) -> None:
    """Add events to the open transaction, and a delivery to every endpoint that wants one."""
    await session.execute(_APPEND, {"events": [event.row() for event in events]})


def owe_test(session: WriteSession, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Owe the endpoint a `webhook.test` of the form that all events have."""
    delivery = WebhookDelivery(
        id=new_id(),
        endpoint_id=endpoint.id,
        event_type=TEST_EVENT,
        payload={
            "type": TEST_EVENT,
            "task_id": None,
            "solver": None,
            "version": None,
            "seq": None,
            "at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "data": {"message": "Somebody asked for this test; no job has to do with it."},
        },
    )
    session.add(delivery)
    return delivery

"""What callers do to jobs: submit, cancel, delete, each inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB

from optimized_tsp.core.context import Origin, current_origin
from optimized_tsp.core.database import WriteSession
from optimized_tsp.core.ids import new_id
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.idempotency import Replay, earlier_job, remember
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.outcomes import end_cancelled, end_waiting
from optimized_tsp.jobs.repository import Scope, lock_job
from optimized_tsp.jobs.retention import restore_payload
from optimized_tsp.jobs.states import ACTIVE, JobStatus
from optimized_tsp.jobs.submission import ParsedSubmission
from optimized_tsp.jobs.transitions import traced
from optimized_tsp.webhooks.outbox import NewEvent, append_events
from optimized_tsp.webhooks.repository import endpoint_of_url

__all__ = [
    "CANCELLED_AT_ONCE",
    "Cancelled",
    "NewJob",
    "Removed",
    "cancel_job",
    "cancel_waiting",
    "delete_job",
    "submit_job",
    "submit_jobs",
    "submit_once",
]

CANCELLED_AT_ONCE = 100
"""Jobs a bulk cancel ends in one transaction: it holds up neither locks nor other requests."""


# Retention takes payloads away (jobs.retention). Instances that are known already are held, so that
# it cannot until the job is there to be seen; those it has been at get their payload back.
_INSERT_INSTANCES = text(
    """
    WITH new AS (
        SELECT * FROM unnest(
            CAST(:digests AS bytea[]), CAST(:solvers AS text[]), CAST(:nodes AS integer[]),
            CAST(:edges AS bigint[]), CAST(:payloads AS bytea[]))
        AS new (digest, solver, nodes, edges, payload)
    ), inserted AS (
        INSERT INTO instances (digest, solver, num_nodes, num_edges, size, payload)
        SELECT digest, solver, nodes, edges, length(payload), payload FROM new
        ON CONFLICT DO NOTHING
    ), known AS (
        SELECT instances.digest, instances.payload IS NULL AS pruned
        FROM instances WHERE digest IN (SELECT digest FROM new) FOR KEY SHARE
    )
    SELECT digest FROM known WHERE pruned
    """
)

_INSERT_JOBS = text(
    """
    INSERT INTO jobs (id, tenant_id, solver, version, status, name, tags, warnings, parameters,
                      timeout_s, instance_digest, last_seq, webhook_endpoint_id, request_id,
                      traceparent)
    SELECT id, tenant_id, solver, version, 'Submitted', name, tags, warnings, parameters,
           timeout_s, decode(digest, 'hex'), 1, webhook_endpoint_id, request_id, traceparent
    FROM jsonb_to_recordset(:jobs) AS new (
        id uuid, tenant_id uuid, solver text, version text, name text, tags jsonb, warnings jsonb,
        parameters jsonb, timeout_s double precision, digest text, webhook_endpoint_id uuid,
        request_id text, traceparent text)
    RETURNING submitted_at
    """
).bindparams(bindparam("jobs", type_=JSONB()))


class Cancelled(Enum):
    """What a cancel did."""

    AT_ONCE = "at_once"
    """It was waiting and is now cancelled."""
    ASKED = "asked"
    """It is running; its worker is asked to stop."""
    NOTHING = "nothing"
    """It had ended already."""


class Removed(Enum):
    """What a delete did."""

    CANCELLED = "cancelled"
    """It was active or cancelled already: the same as a cancel."""
    REMOVED = "removed"
    """It had ended (or was purged): the API does not show it any more."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be stored, with the columns that its first event needs."""

    tenant_id: UUID
    submission: ParsedSubmission
    webhook_endpoint_id: UUID | None = None
    id: UUID = field(default_factory=new_id)
    origin: Origin = field(default_factory=current_origin)

    @property
    def solver(self) -> str:
        return self.submission.solver

    @property
    def version(self) -> str:
        return self.submission.version

    @property
    def tags(self) -> dict[str, str]:
        return self.submission.tags

    def row(self) -> dict[str, Any]:
        """Its columns, as JSON has them."""
        submission, endpoint = self.submission, self.webhook_endpoint_id
        return {
            "id": str(self.id),
            "tenant_id": str(self.tenant_id),
            "solver": submission.solver,
            "version": submission.version,
            "name": submission.name,
            "tags": submission.tags,
            "warnings": [asdict(notice) for notice in submission.notices],
            "parameters": submission.parameters,
            "timeout_s": submission.timeout_s,
            "digest": submission.digest.hex(),
            "webhook_endpoint_id": None if endpoint is None else str(endpoint),
            "request_id": self.origin.request_id,
            "traceparent": self.origin.traceparent,
        }

    def submitted(self) -> NewEvent:
        """Its first event."""
        data = {
            "name": self.submission.name,
            "num_nodes": self.submission.size.num_nodes,
            "timeout": self.submission.timeout_s,
        }
        data = traced(data, self.origin.traceparent)
        return NewEvent(self, 1, EventType.SUBMITTED, data, self.webhook_endpoint_id)


async def submit_job(session: WriteSession, tenant_id: UUID, submission: ParsedSubmission) -> UUID:
    """Store the instance (once per content), the job and its first event; returns the job's id."""
    endpoint_id = None
    if submission.webhook_url is not None:
        endpoint_id = await endpoint_of_url(session, tenant_id, submission.webhook_url)
    job = NewJob(tenant_id, submission, endpoint_id)
    await submit_jobs(session, [job])
    return job.id


async def submit_jobs(session: WriteSession, jobs: Sequence[NewJob]) -> datetime:
    """Store jobs, their instances and first events, with a few statements; returns when."""
    # In one order everywhere, so that transactions with the same instances do not deadlock.
    instances = {job.submission.digest: job.submission for job in jobs}
    ordered = [instances[digest] for digest in sorted(instances)]
    pruned = await session.scalars(
        _INSERT_INSTANCES,
        {
            "digests": [one.digest for one in ordered],
            "solvers": [one.solver for one in ordered],
            "nodes": [one.size.num_nodes for one in ordered],
            "edges": [one.size.num_edges for one in ordered],
            "payloads": [one.payload for one in ordered],
        },
    )
    for digest in sorted(pruned.all()):
        await restore_payload(session, digest, instances[bytes(digest)].payload)
    rows = [job.row() for job in jobs]
    submitted_at: datetime = (
        (await session.execute(_INSERT_JOBS, {"jobs": rows})).scalars().all()[0]
    )
    await append_events(session, [job.submitted() for job in jobs])
    return submitted_at


async def submit_once(
    session: WriteSession, scope: Scope, submission: ParsedSubmission, replay: Replay | None
) -> tuple[UUID, bool]:
    """Submit, unless `replay` did so before; returns the job's id and whether it is new."""
    if replay is not None:
        earlier = await earlier_job(session, scope, replay)
        if earlier is not None:
            return earlier, False
    job_id = await submit_job(session, scope.tenant_id, submission)
    if replay is not None:
        remember(session, scope, replay, job_id)
    return job_id, True


async def cancel_waiting(session: WriteSession, scope: Scope) -> list[UUID]:
    """Cancel up to `CANCELLED_AT_ONCE` waiting jobs; returns which."""
    jobs = await session.scalars(
        select(Job)
        .where(Job.status == JobStatus.SUBMITTED.value, *scope.conditions())
        .order_by(Job.id)
        .limit(CANCELLED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    waiting = jobs.all()
    await end_waiting(session, waiting)
    return [job.id for job in waiting]


async def cancel_job(session: WriteSession, scope: Scope, job_id: UUID) -> Cancelled:
    """Stop a job and keep its best solution; safe to repeat."""
    return await _cancel(session, await lock_job(session, scope, job_id))


async def delete_job(
    session: WriteSession, scope: Scope, job_id: UUID, *, purge: bool
) -> tuple[Removed, Cancelled]:
    """Cancel an active job; remove an ended one (with `purge` any) from the API, not from SQL."""
    job = await lock_job(session, scope, job_id)
    cancelled = await _cancel(session, job)
    kept = JobStatus(job.status) in ACTIVE or job.status == JobStatus.CANCELLED.value
    if kept and not purge:
        return Removed.CANCELLED, cancelled
    job.deleted_at = func.now()
    return Removed.REMOVED, cancelled


async def _cancel(session: WriteSession, job: Job) -> Cancelled:
    if JobStatus(job.status) not in ACTIVE:
        return Cancelled.NOTHING
    if job.cancel_requested_at is None:
        job.cancel_requested_at = func.now()
    if job.status == JobStatus.RUNNING.value:
        return Cancelled.ASKED
    await end_cancelled(session, job)
    return Cancelled.AT_ONCE

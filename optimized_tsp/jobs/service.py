"""What callers do to jobs: submit, cancel, delete, each inside the caller's transaction."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from optimized_tsp.core.database import WriteSession
from optimized_tsp.core.ids import new_id
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.idempotency import Replay, earlier_job, remember
from optimized_tsp.jobs.models import Instance, Job
from optimized_tsp.jobs.outcomes import end_cancelled, end_waiting
from optimized_tsp.jobs.repository import Scope, lock_job
from optimized_tsp.jobs.states import ACTIVE, JobStatus
from optimized_tsp.jobs.submission import ParsedSubmission
from optimized_tsp.jobs.transitions import Happened, record
from optimized_tsp.webhooks.repository import endpoint_of_url

__all__ = [
    "CANCELLED_AT_ONCE",
    "Cancelled",
    "Removed",
    "cancel_job",
    "cancel_waiting",
    "delete_job",
    "submit_job",
    "submit_once",
]

CANCELLED_AT_ONCE = 100
"""Jobs a bulk cancel ends in one transaction: it holds up neither locks nor other requests."""


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


async def submit_job(session: WriteSession, tenant_id: UUID, submission: ParsedSubmission) -> UUID:
    """Store the instance (once per content), the job and its first event; returns the job's id."""
    await session.execute(
        insert(Instance)
        .values(
            digest=submission.digest,
            solver=submission.solver,
            num_nodes=submission.size.num_nodes,
            num_edges=submission.size.num_edges,
            size=len(submission.payload),
            payload=submission.payload,
        )
        .on_conflict_do_nothing()
    )
    webhook_endpoint_id = None
    if submission.webhook_url is not None:
        webhook_endpoint_id = await endpoint_of_url(session, tenant_id, submission.webhook_url)
    job = Job(
        id=new_id(),
        tenant_id=tenant_id,
        solver=submission.solver,
        version=submission.version,
        status=JobStatus.SUBMITTED.value,
        name=submission.name,
        tags=submission.tags,
        warnings=[asdict(notice) for notice in submission.notices],
        parameters=submission.parameters,
        timeout_s=submission.timeout_s,
        instance_digest=submission.digest,
        last_seq=0,
        webhook_endpoint_id=webhook_endpoint_id,
    )
    session.add(job)
    data = {
        "name": submission.name,
        "num_nodes": submission.size.num_nodes,
        "timeout": submission.timeout_s,
    }
    await record(session, Happened(job, EventType.SUBMITTED, data))
    return job.id


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
        await session.flush()
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

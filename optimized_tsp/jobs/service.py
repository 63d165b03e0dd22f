"""What callers do to their jobs: cancel, delete, each inside the caller's transaction."""

from __future__ import annotations

from enum import Enum
from uuid import UUID

from sqlalchemy import func, select

from optimized_tsp.core.database import WriteSession
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.outcomes import end_cancelled, end_waiting
from optimized_tsp.jobs.repository import Scope, lock_job
from optimized_tsp.jobs.states import ACTIVE, JobStatus

__all__ = [
    "CANCELLED_AT_ONCE",
    "Cancelled",
    "Removed",
    "cancel_job",
    "cancel_waiting",
    "delete_job",
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

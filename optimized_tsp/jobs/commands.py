"""What callers have done to their jobs, by REST or by websocket.

Each is a whole transaction and, after its commit, the ring or the announcement that belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from structlog.contextvars import bind_contextvars

from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs import repository, service
from optimized_tsp.jobs.idempotency import Replay, earlier_job
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.schemas import CancelledJobs, JobView, NoticeView
from optimized_tsp.jobs.services import Services
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.jobs.storing import NewJob, Stored, store_job
from optimized_tsp.jobs.submission import ParsedSubmission
from optimized_tsp.webhooks.secrets import SecretBox
from optimized_tsp.webhooks.service import ensure_job_secret

__all__ = ["cancel", "cancel_waiting", "delete", "submit", "view"]


async def submit(
    services: Services,
    scope: Scope,
    submission: ParsedSubmission,
    replay: Replay | None = None,
    *,
    created: Callable[[UUID], None] | None = None,
) -> tuple[JobView, bool]:
    """Store the job, unless `replay` did so before, and ring for a worker.

    Returns its status and whether it is new. `created` is called with the id before the commit:
    before anybody can see an event of a new job. When another request with the same key comes in
    between, it is called again, with that one's job. What is tied to a webhook has a transaction of
    its own; everything else shares one with what comes at this moment.
    """
    job = NewJob(scope.tenant_id, submission, replay=replay)
    if created is not None:
        created(await _known(services, scope, replay) or job.id)
    if submission.webhook_url is None:
        stored = await services.submitter.submit(job)
    else:
        stored = await _store_with_webhook(services, job)
    if created is not None and not stored.is_new:
        created(stored.job_id)
    bind_contextvars(job=str(stored.job_id))  # the line about this request names it
    if stored.is_new and submission.webhook_url is None:
        return _new_view(stored), True
    return await view(services, scope, stored.job_id), stored.is_new


async def _known(services: Services, scope: Scope, replay: Replay | None) -> UUID | None:
    if replay is None:
        return None
    async with services.database.read() as session:
        return await earlier_job(session, scope, replay)


async def _store_with_webhook(services: Services, job: NewJob) -> Stored:
    with services.submitter.room_for(job):
        stored = await _store_alone(services, job)
    if stored.is_new:
        services.bus.announce(stored.job_id, ring=True)
    return stored


async def _store_alone(services: Services, job: NewJob) -> Stored:
    async with services.database.write() as session:
        box = SecretBox.from_settings(services.settings)
        await ensure_job_secret(session, box, job.tenant_id)
        return await store_job(session, job)


def _new_view(stored: Stored) -> JobView:
    """The status of a job that was just committed: known without reading it back."""
    submission = stored.job.submission
    return JobView(
        task_id=stored.job.id,
        solver=submission.solver,
        version=submission.version,
        status=JobStatus.SUBMITTED,
        solution_status=None,
        stop_reason=None,
        is_infeasible=None,
        name=submission.name,
        tags=submission.tags,
        submitted_at=stored.submitted_at,
        started_at=None,
        completed_at=None,
        timeout=submission.timeout_s,
        progress=0.0,
        cost=None,
        lower_bound=None,
        gap=None,
        queue_position=stored.queue_position,
        attempt=0,
        error=None,
        cancel_requested=False,
        warnings=[NoticeView(code=n.code, message=n.message) for n in submission.notices],
        webhook_url=None,
        webhook_id=None,
    )


async def view(services: Services, scope: Scope, job_id: UUID) -> JobView:
    """A job's status; raises `NotFound`."""
    return await repository.find_job(services.database, services.places, scope, job_id)


async def cancel(services: Services, scope: Scope, job_id: UUID) -> JobView:
    """Stop a job and keep its best solution; safe to repeat. Raises `NotFound`."""
    async with services.database.write() as session:
        done = await service.cancel_job(session, scope, job_id)
    _announce(services.bus, job_id, done)
    return await view(services, scope, job_id)


async def delete(services: Services, scope: Scope, job_id: UUID, *, purge: bool) -> JobView | None:
    """Cancel an active job; remove an ended one (with `purge` any), None then."""
    async with services.database.write() as session:
        removed, done = await service.delete_job(session, scope, job_id, purge=purge)
    _announce(services.bus, job_id, done)
    if removed is service.Removed.REMOVED:
        return None
    return await view(services, scope, job_id)


async def cancel_waiting(services: Services, scope: Scope) -> CancelledJobs:
    """Cancel every job of the caller that no worker has taken yet; running ones go on."""
    total = 0
    while True:
        async with services.database.write() as session:
            cancelled = await service.cancel_waiting(session, scope)
        for job_id in cancelled:
            services.bus.announce(job_id)
        total += len(cancelled)
        if len(cancelled) < service.CANCELLED_AT_ONCE:
            return CancelledJobs(cancelled=total)


def _announce(bus: Bus, job_id: UUID, cancelled: service.Cancelled) -> None:
    if cancelled is service.Cancelled.ASKED:
        bus.announce_cancel(job_id)
    elif cancelled is service.Cancelled.AT_ONCE:
        bus.announce(job_id)

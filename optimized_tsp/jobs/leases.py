"""What a worker does to a job: claim, renew, report progress, finish, give back, rescue.

Every function runs inside the caller's transaction. Every write of a run names its fence, a number
that only grows: a worker that was frozen past its lease finds another fence and writes nothing.
Leases go by the database's clock, never by a worker's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import undefer

from optimized_tsp.core.database import ReadSession, WriteSession
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.models import Instance, Job, Solution
from optimized_tsp.jobs.solutions import stored_solution
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.jobs.transitions import Happened, change_status, record
from optimized_tsp.solvers.registry import all_solvers

__all__ = [
    "Claim",
    "LeaseLost",
    "claim_next",
    "instance_payload",
    "locked",
    "oldest_wait_s",
    "renew",
    "stop_requested",
]

MIN_REMAINING_S = 1.0


class LeaseLost(Exception):
    """The job belongs to another run now, or ended; this run must write nothing more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job this worker owns until its lease runs out. Times in seconds."""

    job_id: UUID
    fence: int
    solver: str
    version: str
    parameters: dict[str, Any]
    timeout_s: float
    used_s: float
    attempt: int
    instance_digest: bytes
    start: dict[str, Any] | None
    """The best solution of an earlier run, with its cost."""
    log_lines: int = 0
    request_id: str | None = None
    traceparent: str | None = None

    @property
    def remaining_s(self) -> float:
        """Solving time that is left; after an interruption at least a second of what was asked."""
        return max(min(MIN_REMAINING_S, self.timeout_s), self.timeout_s - self.used_s)


async def claim_next(
    session: WriteSession,
    *,
    worker: str,
    lease_s: float,
    solvers: Collection[tuple[str, str]] | None = None,
) -> Claim | None:
    """Take the oldest waiting job of these solvers (default: the registered), None when none waits.

    A job of a solver this worker does not know is left for one that does: while a new version is
    rolled out, both kinds run.
    """
    known = all_solvers() if solvers is None else solvers
    job = await session.scalar(
        select(Job)
        .where(Job.status == JobStatus.SUBMITTED.value)
        .where(tuple_(Job.solver, Job.version).in_(known))
        .order_by(Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .options(undefer(Job.parameters))
    )
    if job is None:
        return None
    solution = await session.get(Solution, job.id)
    change_status(job, JobStatus.RUNNING)
    job.fence += 1
    job.attempt += 1
    job.leased_by = worker
    job.lease_until = _lease_end(lease_s)
    job.run_started_at = func.now()
    if job.started_at is None:
        job.started_at = func.now()
    await record(session, Happened(job, EventType.STARTED, {"attempt": job.attempt}))
    claim = Claim(
        job_id=job.id,
        fence=job.fence,
        solver=job.solver,
        version=job.version,
        parameters=job.parameters,
        timeout_s=job.timeout_s,
        used_s=job.run_time_s,
        attempt=job.attempt,
        instance_digest=job.instance_digest,
        start=stored_solution(solution),
        log_lines=job.log_lines,
        request_id=job.request_id,
        traceparent=job.traceparent,
    )
    await session.flush()
    return claim


async def instance_payload(session: ReadSession, claim: Claim) -> bytes:
    """The instance of a claimed job, canonical JSON."""
    payload = await session.scalar(
        select(Instance.payload).where(Instance.digest == claim.instance_digest)
    )
    if payload is None:
        raise LookupError(f"the instance of job {claim.job_id} is gone")
    return bytes(payload)


async def renew(session: WriteSession, claim: Claim, *, lease_s: float) -> None:
    """Keep the job; raises `LeaseLost`."""
    renewed = await session.execute(
        update(Job)
        .where(Job.id == claim.job_id, Job.fence == claim.fence)
        .where(Job.status == JobStatus.RUNNING.value)
        .values(lease_until=_lease_end(lease_s))
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    if renewed.first() is None:
        raise LeaseLost


async def stop_requested(session: ReadSession, claim: Claim) -> bool:
    """Whether somebody asked to cancel; raises `LeaseLost`."""
    row = (
        await session.execute(
            select(Job.cancel_requested_at)
            .where(Job.id == claim.job_id, Job.fence == claim.fence)
            .where(Job.status == JobStatus.RUNNING.value)
        )
    ).first()
    if row is None:
        raise LeaseLost
    return row.cancel_requested_at is not None


async def locked(session: WriteSession, claim: Claim) -> Job:
    """The claimed job, locked for this transaction; raises `LeaseLost`."""
    job = await session.scalar(
        select(Job)
        .where(Job.id == claim.job_id, Job.fence == claim.fence)
        .where(Job.status == JobStatus.RUNNING.value)
        .with_for_update()
    )
    if job is None:
        raise LeaseLost
    return job


async def oldest_wait_s(session: ReadSession) -> float | None:
    """Seconds the oldest waiting job has waited since it was submitted, None when none waits."""
    submitted_at = (
        select(Job.submitted_at)
        .where(Job.status == JobStatus.SUBMITTED.value)
        .order_by(Job.id)
        .limit(1)
        .scalar_subquery()
    )
    waited = await session.scalar(select(func.extract("epoch", func.now() - submitted_at)))
    return None if waited is None else float(waited)


def _lease_end(lease_s: float) -> Any:
    return func.now() + timedelta(seconds=lease_s)

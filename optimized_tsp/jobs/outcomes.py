"""How a run reports and ends without an answer: progress, failure, crash, give-back, rescue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from optimized_tsp.core.database import WriteSession
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.leases import Claim, locked
from optimized_tsp.jobs.logs import NewLine, write_lines
from optimized_tsp.jobs.models import Incumbent, Job, Solution
from optimized_tsp.jobs.solutions import curve_point, merge
from optimized_tsp.jobs.states import MAX_CRASHES, MAX_LOST_CLAIMS, JobStatus
from optimized_tsp.jobs.transitions import Happened, change_status, record, used_s
from optimized_tsp.solvers.contract import SolutionStatus, StopReason

__all__ = [
    "Progress",
    "Rescued",
    "end_cancelled",
    "end_waiting",
    "ending",
    "fail",
    "give_back",
    "record_crash",
    "rescue_expired",
    "save_progress",
    "standing",
]

_RESCUED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """A checked better solution (the solver's schema, with `cost`), a better bound, or both.

    `elapsed_s` counts solving time over all runs of the job.
    """

    solution: dict[str, Any] | None
    lower_bound: int | None
    elapsed_s: float


async def save_progress(session: WriteSession, claim: Claim, progress: Progress) -> bool:
    """Store progress with its event; False (and nothing stored) when it is none."""
    job = await locked(session, claim)
    row = await _solution_row(session, job.id)
    elapsed_s = progress.elapsed_s
    event = merge(row, progress.solution, progress.lower_bound, elapsed_s=elapsed_s)
    if event is None:
        return False
    await record(session, Happened(job, event, standing(row, elapsed_s)))
    session.add(Incumbent(job_id=job.id, **curve_point(job, row, elapsed_s)))
    return True


async def fail(
    session: WriteSession,
    claim: Claim,
    *,
    error: str,
    elapsed_s: float,
    log: Sequence[NewLine] = (),
) -> None:
    """End the job without an answer, for a reason the caller may read."""
    job = await locked(session, claim)
    await write_lines(session, job, log)
    await _fail(session, job, error, elapsed_s)


async def record_crash(
    session: WriteSession,
    claim: Claim,
    *,
    reason: str,
    elapsed_s: float,
    log: Sequence[NewLine] = (),
) -> JobStatus:
    """Count a crash of the solver process; returns what became of the job.

    It goes back to the queue, unless somebody asked to cancel it or this was one crash too many.
    """
    job = await locked(session, claim)
    await write_lines(session, job, log)
    return await _crashed(session, job, reason, elapsed_s)


async def give_back(
    session: WriteSession, claim: Claim, *, log: Sequence[NewLine] = ()
) -> JobStatus:
    """Return the job to the queue on a graceful stop: that was no attempt."""
    job = await locked(session, claim)
    await write_lines(session, job, log)
    return await _given_back(session, job)


class Rescued(NamedTuple):
    """What became of a job whose lease ran out, and the request it was submitted with."""

    job_id: UUID
    status: JobStatus
    request_id: str | None


async def rescue_expired(session: WriteSession) -> Sequence[Rescued]:
    """Deal with jobs whose lease ran out: cancel, fail or put back; returns what became of them."""
    jobs = await session.scalars(
        select(Job)
        .where(Job.status == JobStatus.RUNNING.value, Job.lease_until < func.now())
        .order_by(Job.lease_until)
        .limit(_RESCUED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    rescued = []
    for job in jobs.all():
        if _never_began(job):
            status = await _given_back(session, job)
        else:
            reason = "the worker that ran it disappeared"
            status = await _crashed(session, job, reason, await _elapsed_s(session, job))
        rescued.append(Rescued(job.id, status, job.request_id))
    return rescued


def _never_began(job: Job) -> bool:
    """Whether the worker was lost before the run gave a sign of life.

    It may not even have heard of its claim. Should the job be what kills workers so soon, that
    shows in the end: every claim raises the fence, and one that is given back is no attempt.
    """
    return job.run_started_at is None and job.fence - job.attempt < MAX_LOST_CLAIMS


async def _given_back(session: WriteSession, job: Job) -> JobStatus:
    if job.cancel_requested_at is not None:
        await end_cancelled(session, job)
        return JobStatus.CANCELLED
    change_status(job, JobStatus.SUBMITTED)
    job.attempt -= 1
    return JobStatus.SUBMITTED


async def end_cancelled(session: WriteSession, job: Job) -> None:
    """End a locked job that no worker runs any more, keeping the best solution of its runs."""
    row = await _solution_row(session, job.id)
    await record(session, _end_cancelled(job, row, elapsed_s=await _elapsed_s(session, job)))


async def end_waiting(session: WriteSession, jobs: Sequence[Job]) -> None:
    """End locked jobs that wait, all together: some statements for all, not for each."""
    now = await session.scalar(select(func.now()))
    rows = await _solution_rows(session, [job.id for job in jobs])
    ends = []
    for job in jobs:
        job.cancel_requested_at = job.cancel_requested_at or now
        # Nothing runs, so what was used is what earlier runs used.
        ends.append(_end_cancelled(job, rows[job.id], elapsed_s=job.run_time_s, at=now))
    await record(session, *ends)


async def _crashed(session: WriteSession, job: Job, reason: str, elapsed_s: float) -> JobStatus:
    job.crashes += 1
    if job.cancel_requested_at is not None:
        await end_cancelled(session, job)
        return JobStatus.CANCELLED
    if job.crashes >= MAX_CRASHES:
        error = f"Given up after {job.crashes} crashes; the last one: {reason}."
        await _fail(session, job, error, elapsed_s)
        return JobStatus.FAILED
    again = f"Crash {job.crashes}: {reason}. The job goes back to the queue."
    await _note(session, job, elapsed_s, again)
    change_status(job, JobStatus.SUBMITTED)
    return JobStatus.SUBMITTED


async def _note(session: WriteSession, job: Job, elapsed_s: float, message: str) -> None:
    await write_lines(session, job, [NewLine(elapsed_s, "error", message, by_worker=True)])


async def _fail(session: WriteSession, job: Job, error: str, elapsed_s: float) -> None:
    await _note(session, job, elapsed_s, error)
    row = await _solution_row(session, job.id)
    status = SolutionStatus.UNKNOWN if row.cost is None else SolutionStatus.FEASIBLE
    job.error = error
    await record(session, ending(job, row, JobStatus.FAILED, status, None, elapsed_s))


def _end_cancelled(
    job: Job, row: Solution, *, elapsed_s: float, at: datetime | None = None
) -> Happened:
    status = SolutionStatus.UNKNOWN if row.cost is None else SolutionStatus.FEASIBLE
    reason = StopReason.CANCELLED
    return ending(job, row, JobStatus.CANCELLED, status, reason, elapsed_s, at=at)


def ending(
    job: Job,
    row: Solution,
    target: JobStatus,
    solution_status: SolutionStatus,
    stop_reason: StopReason | None,
    elapsed_s: float,
    *,
    at: datetime | None = None,
) -> Happened:
    """End a locked job and say what there is to be told; the rest as in `change_status`."""
    job.solution_status = solution_status.value
    job.stop_reason = None if stop_reason is None else stop_reason.value
    row.final = True
    row.wall_time_s = elapsed_s
    event = {
        JobStatus.COMPLETED: EventType.COMPLETED,
        JobStatus.FAILED: EventType.FAILED,
        JobStatus.CANCELLED: EventType.CANCELLED,
    }[target]
    data = {
        "status": target.value,
        "solution_status": job.solution_status,
        "stop_reason": job.stop_reason,
        "is_infeasible": solution_status is SolutionStatus.INFEASIBLE,
        "error": job.error,
        **standing(row, elapsed_s),
    }
    change_status(job, target, at=at)
    return Happened(job, event, data)


async def _elapsed_s(session: WriteSession, job: Job) -> float:
    """Solving time of a locked job, by the database's clock: nobody is left to tell it."""
    elapsed_s = await session.scalar(select(used_s()).where(Job.id == job.id))
    return float(elapsed_s or 0.0)


async def _solution_row(session: WriteSession, job_id: UUID) -> Solution:
    row = await session.get(Solution, job_id)
    if row is None:
        row = Solution(job_id=job_id)
        session.add(row)
    return row


async def _solution_rows(session: WriteSession, job_ids: Sequence[UUID]) -> dict[UUID, Solution]:
    stored = await session.scalars(select(Solution).where(Solution.job_id.in_(job_ids)))
    rows = {row.job_id: row for row in stored}
    for job_id in job_ids:
        if job_id not in rows:
            rows[job_id] = Solution(job_id=job_id)
            session.add(rows[job_id])
    return rows


def standing(row: Solution, elapsed_s: float) -> dict[str, Any]:
    """What events tell of the best known so far."""
    return {
        "cost": row.cost,
        "lower_bound": row.lower_bound,
        "gap": row.gap,
        "elapsed": round(elapsed_s, 6),
    }

"""Reading one job as the API shows it, of one tenant only (`lists` has lists of them)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Double,
    cast,
    func,
    select,
)

from optimized_tsp.core.database import Database, ReadSession, WriteSession
from optimized_tsp.core.errors import Gone, NotFound
from optimized_tsp.jobs.models import Instance, Job, Solution
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.schemas import JobView, own_fields
from optimized_tsp.jobs.solutions import stored_solution
from optimized_tsp.jobs.states import TERMINAL, JobStatus
from optimized_tsp.solvers.contract import SolutionStatus
from optimized_tsp.solvers.registry import AnySolver
from optimized_tsp.webhooks.models import WebhookEndpoint

__all__ = [
    "Scope",
    "find_instance",
    "find_job",
    "find_solution",
    "job_views",
    "lock_job",
    "no_job",
]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose jobs, of which solver (None: of all): nothing outside it exists for the caller."""

    tenant_id: UUID
    solver: str | None = None
    version: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What is in it, for a query on jobs."""
        conditions = [Job.tenant_id == self.tenant_id, Job.deleted_at.is_(None)]
        if self.solver is not None:
            conditions.append(Job.solver == self.solver)
        if self.version is not None:
            conditions.append(Job.version == self.version)
        return conditions


async def find_job(database: Database, places: Places, scope: Scope, job_id: UUID) -> JobView:
    """One job; raises `NotFound`."""
    query = _views().where(Job.id == job_id, *scope.conditions())
    async with database.read() as session:
        row = (await session.execute(query)).first()
    if row is None:
        raise no_job(job_id)
    (view,) = await job_views(places, [row])
    return view


async def find_instance(session: ReadSession, scope: Scope, job_id: UUID) -> bytes:
    """What was submitted, canonical JSON; raises `NotFound`, and `Gone` when it was pruned."""
    query = select(Instance.payload).join(Job, Job.instance_digest == Instance.digest)
    row = (await session.execute(_in_scope(query, scope).where(Job.id == job_id))).first()
    if row is None:
        raise no_job(job_id)
    if row.payload is None:
        raise Gone("The instance of this job was removed, as those of old jobs are.")
    return bytes(row.payload)


async def find_solution(
    session: ReadSession, scope: Scope, solver: AnySolver, job_id: UUID
) -> dict[str, Any]:
    """The best solution so far, as `schemas.solution_type` has it.

    Raises `NotFound`, and `Gone` when it was pruned.
    """
    query = select(Job, Solution).outerjoin(Solution, Solution.job_id == Job.id)
    row = (await session.execute(_in_scope(query, scope).where(Job.id == job_id))).first()
    if row is None:
        raise no_job(job_id)
    job, solution = row
    infeasible = job.solution_status == SolutionStatus.INFEASIBLE.value
    stored = stored_solution(solution)
    if stored is None and solution is not None and solution.cost is not None:
        raise Gone(
            "The solution of this job was removed, as those of old jobs are.",
            facts={name: getattr(solution, name) for name in ("cost", "lower_bound", "gap")},
        )
    if stored is None and not infeasible:
        raise NotFound(_why_no_solution(JobStatus(job.status)))
    return {
        "task_id": str(job.id),
        "final": JobStatus(job.status) in TERMINAL,
        "solution_status": job.solution_status,
        "stop_reason": job.stop_reason,
        "is_infeasible": infeasible,
        "cost": solution.cost,
        "lower_bound": None if infeasible else solution.lower_bound,
        "gap": solution.gap,
        "infeasibility": solution.infeasibility,
        "statistics": solution.statistics,
        **{name: stored.get(name) if stored else None for name in own_fields(solver)},
    }


async def lock_job(session: WriteSession, scope: Scope, job_id: UUID) -> Job:
    """The job, locked for this transaction; raises `NotFound`."""
    query = _in_scope(select(Job), scope).where(Job.id == job_id).with_for_update()
    job: Job | None = await session.scalar(query)
    if job is None:
        raise no_job(job_id)
    return job


def _in_scope(query: Any, scope: Scope) -> Any:
    return query.where(*scope.conditions())


@cache
def _views() -> Any:
    """Building it takes milliseconds."""
    running_s = cast(func.extract("epoch", func.now() - Job.run_started_at), Double)
    webhook_url = (
        select(WebhookEndpoint.url)
        .where(WebhookEndpoint.id == Job.webhook_endpoint_id)
        .correlate(Job)
        .scalar_subquery()
    )
    return select(
        *Job.__table__.c,
        Solution.cost,
        Solution.lower_bound,
        Solution.gap,
        Solution.first_gap,
        (Job.run_time_s + func.coalesce(running_s, 0.0)).label("elapsed_s"),
        webhook_url.label("webhook_url"),
    ).outerjoin(Solution, Solution.job_id == Job.id)


async def job_views(places: Places, rows: Sequence[Any]) -> list[JobView]:
    """Jobs as they are shown, in order; with their places in the queue, if they wait."""
    waiting = [row.id for row in rows if row.status == JobStatus.SUBMITTED]
    places_of = await places.of(waiting)
    return [_job_view(row, places_of.get(row.id)) for row in rows]


def _job_view(row: Any, queue_position: int | None) -> JobView:
    status = JobStatus(row.status)
    infeasible = None
    if row.solution_status is not None or row.cost is not None:
        infeasible = row.solution_status == SolutionStatus.INFEASIBLE.value
    return JobView(
        task_id=row.id,
        solver=row.solver,
        version=row.version,
        status=status,
        solution_status=row.solution_status,
        stop_reason=row.stop_reason,
        is_infeasible=infeasible,
        name=row.name,
        tags=row.tags,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        timeout=row.timeout_s,
        progress=_progress(status, row.elapsed_s / row.timeout_s, row.gap, row.first_gap),
        cost=row.cost,
        lower_bound=None if infeasible else row.lower_bound,
        gap=row.gap,
        queue_position=queue_position,
        attempt=row.attempt,
        error=row.error,
        cancel_requested=row.cancel_requested_at is not None,
        warnings=row.warnings,
        webhook_url=row.webhook_url,
        webhook_id=None if row.webhook_url is None else row.webhook_endpoint_id,
    )


def _progress(
    status: JobStatus, time_used: float, gap: float | None, first_gap: float | None
) -> float:
    if status in TERMINAL:
        return 1.0
    closed = 1 - gap / first_gap if gap is not None and first_gap else 0.0
    return min(1.0, max(0.0, time_used, closed))


def no_job(job_id: UUID) -> NotFound:
    """What is said of a job that the caller cannot see."""
    return NotFound(f"There is no job {job_id} here; GET the list of jobs to see which there are.")


def _why_no_solution(status: JobStatus) -> str:
    if status in TERMINAL:
        return f"The job ended ({status.value}) without a solution; its status says why."
    return "There is no solution yet; ask again, or follow the job on the websocket /live."

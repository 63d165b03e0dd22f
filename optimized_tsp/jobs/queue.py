"""A caller's part of the queue: how many jobs wait and run, and which come next."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import func, select

from optimized_tsp.core.database import Database, ReadSession
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.states import JobStatus

__all__ = ["QueueView", "WaitingJob", "find_queue"]


class WaitingJob(BaseModel):
    """A job that waits for a worker."""

    task_id: UUID
    solver: str
    version: str
    name: str | None
    submitted_at: datetime
    queue_position: int = Field(description="1 is next; jobs of all callers count.")


class QueueView(BaseModel):
    """The caller's jobs that have not ended."""

    waiting: int = Field(ge=0)
    running: int = Field(ge=0)
    jobs: list[WaitingJob] = Field(description="The first of those that wait, next one first.")


async def find_queue(database: Database, places: Places, scope: Scope, *, limit: int) -> QueueView:
    """How many jobs wait and run, and the first `limit` that wait."""
    first = select(Job).where(Job.status == JobStatus.SUBMITTED.value, *scope.conditions())
    async with database.read() as session:
        waiting = await _count(session, scope, JobStatus.SUBMITTED)
        running = await _count(session, scope, JobStatus.RUNNING)
        jobs = (await session.scalars(first.order_by(Job.id).limit(limit))).all()
    places_of = await places.of([job.id for job in jobs])
    return QueueView(
        waiting=waiting,
        running=running,
        jobs=[
            WaitingJob(
                task_id=job.id,
                solver=job.solver,
                version=job.version,
                name=job.name,
                submitted_at=job.submitted_at,
                queue_position=places_of[job.id],
            )
            for job in jobs
        ],
    )


async def _count(session: ReadSession, scope: Scope, status: JobStatus) -> int:
    query = select(func.count()).where(Job.status == status.value, *scope.conditions())
    return await session.scalar(query) or 0

"""A caller's part of the queue: how many jobs wait and run, and which come next."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import func, select

from optimized_tsp.core.database import ReadSession
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.repository import Scope, queue_positions
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


async def find_queue(session: ReadSession, scope: Scope, *, limit: int) -> QueueView:
    """How many jobs wait and run, and the first `limit` that wait."""
    return QueueView(
        waiting=await _count(session, scope, JobStatus.SUBMITTED),
        running=await _count(session, scope, JobStatus.RUNNING),
        jobs=await _first(session, scope, limit),
    )


async def _count(session: ReadSession, scope: Scope, status: JobStatus) -> int:
    query = select(func.count()).where(Job.status == status.value, *scope.conditions())
    return await session.scalar(query) or 0


async def _first(session: ReadSession, scope: Scope, limit: int) -> list[WaitingJob]:
    queue = queue_positions()
    query = (
        select(Job, queue.c.position)
        .join(queue, queue.c.id == Job.id)
        .where(*scope.conditions())
        .order_by(Job.id)
        .limit(limit)
    )
    return [
        WaitingJob(
            task_id=job.id,
            solver=job.solver,
            version=job.version,
            name=job.name,
            submitted_at=job.submitted_at,
            queue_position=position,
        )
        for job, position in await session.execute(query)
    ]

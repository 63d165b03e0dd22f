"""Whether a subscription makes sense: its job exists, its cursor is one we can resume from."""

from __future__ import annotations

from sqlalchemy import select

from optimized_tsp.core.database import ReadSession
from optimized_tsp.core.errors import InputProblem, InvalidInput
from optimized_tsp.events.filter import EventFilter
from optimized_tsp.events.log import FeedRange
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.repository import Scope

__all__ = ["CursorExpired", "check_cursor", "check_job", "jobs_of"]


class CursorExpired(Exception):
    """Events after the cursor were pruned; `oldest` is the oldest position that still works."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest position is {oldest}")
        self.oldest = oldest


def jobs_of(events: EventFilter) -> Scope:
    """The jobs whose events a client may see."""
    name, version = events.solver or (None, None)
    return Scope(events.tenant_id, name, version)


async def check_job(session: ReadSession, wanted: EventFilter) -> None:
    """Raise `InvalidInput` when the filter names a job that does not exist for this caller."""
    if wanted.task_id is None:
        return
    query = select(Job.id).where(Job.id == wanted.task_id, *jobs_of(wanted).conditions())
    if await session.scalar(query) is None:
        raise InvalidInput(
            f"There is no job {wanted.task_id} here; GET the list of jobs to see which there are.",
            [InputProblem("/task_id", "unknown_task", "must be the id of a job of this feed")],
        )


def check_cursor(kept: FeedRange, position: int) -> None:
    """Raise `CursorExpired` or `InvalidInput` when the feed cannot be resumed from `position`."""
    if position < kept.oldest:
        raise CursorExpired(kept.oldest)
    if position > kept.newest:
        raise InvalidInput(
            "The cursor is from the future; was it given by another installation?",
            [InputProblem("/after", "unknown_cursor", "must be a cursor this feed has given")],
        )

"""Places in the queue: 1 is next, and jobs of all callers count.

Counting the whole queue for each answer takes 50 ms where 100,000 jobs wait. So each process keeps
marks, every 250th waiting job with its place, made anew at most every second and only while
somebody asks. A job's place is that of the last mark before it and the jobs after that mark, which
are counted as they are now. A mark with fewer jobs before it than that is not used: the first jobs,
and all of a short queue, have exactly the place they have. Further back, jobs that left the queue
since the marks were made may still be counted.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.core.tasks import begin_shared, end_tasks

__all__ = ["COUNTED_FROM", "Mark", "Places"]

logger = structlog.get_logger(__name__)

_EVERY = 250
# One answer may count so many jobs; where more are to be counted, marks are worth their while.
_FEW = 2_000
_RENEWED_S = 1.0
_KEPT_S = 10.0
# Making marks takes at most one part in so many of Postgres' time.
_SHARE = 10

_BEFORE_ALL = "CAST('00000000-0000-0000-0000-000000000000' AS uuid)"
_AFTER_ALL = "CAST('ffffffff-ffff-ffff-ffff-ffffffffffff' AS uuid)"
# The last of the first jobs, if there are as many. The planner cannot see the bounds: without
# statistics it takes the queue for short, and would read all of it to sort it.
_FRONT = f"""
    front AS MATERIALIZED (
        SELECT id FROM jobs
        WHERE status = 'Submitted' AND id > (SELECT {_BEFORE_ALL}) AND id <= (SELECT {_AFTER_ALL})
        ORDER BY id OFFSET :every - 1 LIMIT 1
    )"""  # noqa: S608 - constants of ours
_FROM = f"""CASE WHEN {{chained}} OR {{mark}} > (SELECT id FROM front) THEN {{mark}}
        WHEN {{mark}} IS NOT NULL THEN {_BEFORE_ALL} END"""  # noqa: S608 - constants of ours

COUNTED_FROM = f"""{_FRONT}, counted AS MATERIALIZED (
        SELECT {_FROM.format(chained="false", mark="CAST(:mark AS uuid)")} AS counted_from
    )"""
"""Common table expressions: `counted_from`, after which jobs are to be counted (`Places.place`).

Their parameters are a `Mark`'s id, or NULL for no place, which is NULL then, and `Places.every`.
"""

_STEPS = text(
    f"""
    WITH {_FRONT}, steps AS MATERIALIZED (
        SELECT job_id, number, {_FROM.format(chained="chained", mark="mark")} AS counted_from
        FROM unnest(
            CAST(:jobs AS uuid[]), CAST(:marks AS uuid[]), CAST(:chained AS boolean[])
        ) WITH ORDINALITY AS step (job_id, mark, chained, number)
    )
    SELECT counted_from, (
        SELECT count(*) FROM jobs
        WHERE status = 'Submitted' AND id > counted_from AND id <= job_id) AS waiting
    FROM steps ORDER BY number
    """  # noqa: S608 - constants of ours
)
_MARKS = text(
    """
    SELECT id FROM (
        SELECT id, row_number() OVER (ORDER BY id) AS place FROM jobs WHERE status = 'Submitted'
    ) AS queue WHERE place % :every = 0 ORDER BY id
    """
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A waiting job and the place it had."""

    job_id: UUID
    place: int


_BEGINNING = Mark(UUID(int=0), 0)


class Places:
    """Where jobs are in the queue, as one process knows it."""

    def __init__(self, database: Database, *, every: int = _EVERY) -> None:
        self._database = database
        self.every = every
        self._marks: list[UUID] = []
        self._made_at = self._due_at = monotonic()
        self._pause_s = _RENEWED_S
        self._renewal: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End what is under way, before the database is closed."""
        if self._renewal is not None:
            await end_tasks([self._renewal])

    async def of(self, job_ids: Collection[UUID]) -> dict[UUID, int]:
        """The place of each of these jobs, as if all of them waited."""
        if not job_ids:
            return {}
        jobs = sorted(job_ids)
        marks = [self.before(job_id) for job_id in jobs]
        # Where no mark is in between, the job before serves as one.
        chained = [False, *(mark.job_id <= job for mark, job in zip(marks[1:], jobs, strict=False))]
        starts = [jobs[n - 1] if chained[n] else mark.job_id for n, mark in enumerate(marks)]
        parameters = {"jobs": jobs, "marks": starts, "chained": chained, "every": self.every}
        rows = await self._database.alone(_STEPS, parameters)
        self._asked(sum(row.waiting for row in rows))
        places: dict[UUID, int] = {}
        last = 0
        for job_id, mark, after_last, row in zip(jobs, marks, chained, rows, strict=True):
            place = last + row.waiting if after_last else _place(mark, row)
            # A worker may just have taken one of them: its place is still its own.
            places[job_id] = last = max(place, last + 1)
        return places

    def before(self, job_id: UUID) -> Mark:
        """The last mark before a job, or on it."""
        if monotonic() - self._made_at > max(_KEPT_S, 2 * self._pause_s):
            return _BEGINNING
        number = bisect_right(self._marks, job_id)
        return Mark(self._marks[number - 1], number * self.every) if number else _BEGINNING

    def place(self, mark: Mark, row: Any) -> int:
        """The place of a job: `row.waiting` jobs were found after `row.counted_from`."""
        self._asked(row.waiting)
        return _place(mark, row)

    def _asked(self, counted: int) -> None:
        if (self._marks or counted > _FEW) and monotonic() >= self._due_at:
            self._due_at = float("inf")
            self._renewal = begin_shared(self.renew())

    async def renew(self) -> None:
        """Make the marks anew."""
        began = monotonic()
        try:
            rows = await self._database.alone(_MARKS, {"every": self.every})
            self._marks, self._made_at = [row.id for row in rows], began
        except Exception as error:  # noqa: BLE001 - the next who asks tries again
            logger.warning("queue_not_counted", error=repr(error))
        finally:
            self._pause_s = max(_RENEWED_S, _SHARE * (monotonic() - began))
            self._due_at = began + self._pause_s


def _place(mark: Mark, row: Any) -> int:
    started = mark.place if row.counted_from == mark.job_id else 0
    return int(started + row.waiting)

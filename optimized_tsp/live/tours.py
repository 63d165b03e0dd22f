"""Solutions for those who asked for them: read once for all, sent at most once a second a job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

import orjson
from sqlalchemy import select

from optimized_tsp.core.database import ReadSession
from optimized_tsp.jobs.models import Job, Solution
from optimized_tsp.jobs.solutions import stored_solution
from optimized_tsp.live.outbox import Frame

__all__ = ["TourPace", "Tours"]

TOUR_EVERY_S = 1.0
# A solver that goes on improving has an event by then: workers let pass five a second.
BY_ITSELF_AFTER_S = 1.3
MAX_BYTES = 16 * 2**20
_FORGET_FROM = 1000


class _Tour(NamedTuple):
    cost: int
    text: str


class Tours:
    """The best solutions of the jobs that are watched, as JSON.

    Each is read and serialised once, however many watch; what was asked for last is remembered, up
    to `MAX_BYTES`.
    """

    def __init__(self, reading: Callable[[], AbstractAsyncContextManager[ReadSession]]) -> None:
        self._reading = reading
        self._known: dict[UUID, _Tour] = {}
        self._bytes = 0
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def best(self, task_id: UUID, cost: int) -> str | None:
        """A solution of at most this cost, the best one stored; None when the job was removed.

        Raises `ServiceUnavailable`.
        """
        lock = self._locks.setdefault(task_id, asyncio.Lock())
        async with lock:
            tour = self._known.pop(task_id, None)
            if tour is not None:
                self._bytes -= len(tour.text)
            if tour is None or tour.cost > cost:
                tour = await self._read(task_id)
            if tour is None:
                return None
            self._remember(task_id, tour)
            return tour.text

    async def _read(self, task_id: UUID) -> _Tour | None:
        query = (
            select(Solution)
            .join(Job, Job.id == Solution.job_id)
            .where(Job.id == task_id, Job.deleted_at.is_(None))
        )
        async with self._reading() as session:
            solution = stored_solution(await session.scalar(query))
        if solution is None:
            return None
        return _Tour(solution["cost"], orjson.dumps(solution).decode())

    def _remember(self, task_id: UUID, tour: _Tour) -> None:
        self._known[task_id] = tour
        self._bytes += len(tour.text)
        while self._bytes > MAX_BYTES:
            longest_ago = next(iter(self._known))
            self._bytes -= len(self._known.pop(longest_ago).text)


class TourPace:
    """When one client is sent tours: of each job at most one a second, the last one for certain.

    A tour that comes too early is held back. If no event of the job takes it along soon after its
    time has come, it is sent by itself (`due`, of the first of them, in the loop's time). The tour
    of a terminal event never waits.
    """

    def __init__(self) -> None:
        self.due: float | None = None
        self._last: dict[UUID, float] = {}
        self._held: dict[UUID, int] = {}

    def admits(self, frame: Frame) -> bool:
        """Whether the tour of this frame is sent with it; if not, it is held back."""
        if frame.terminal:
            self._last.pop(frame.task_id, None)
            self._held.pop(frame.task_id, None)
            return True
        now = _now()
        last = self._last.get(frame.task_id)
        if last is not None and now < last + TOUR_EVERY_S and frame.cost is not None:
            self._held[frame.task_id] = frame.cost
            due = last + BY_ITSELF_AFTER_S
            self.due = due if self.due is None else min(due, self.due)
            return False
        self._held.pop(frame.task_id, None)
        self._last[frame.task_id] = now
        if len(self._last) > _FORGET_FROM:
            self._forget(now)
        return True

    def release(self) -> dict[UUID, int]:
        """The jobs whose held tours are sent by themselves now, each with the most it may cost."""
        now = _now()
        freed = {
            job: cost
            for job, cost in self._held.items()
            if now >= self._last[job] + BY_ITSELF_AFTER_S
        }
        for job in freed:
            del self._held[job]
            self._last[job] = now
        self._set_due()
        return freed

    def keep_only(self, jobs: Collection[UUID]) -> None:
        """Hold nothing back of other jobs any more: they are not wanted."""
        self._held = {job: cost for job, cost in self._held.items() if job in jobs}
        self._set_due()

    def _set_due(self) -> None:
        first = min((self._last[job] for job in self._held), default=None)
        self.due = None if first is None else first + BY_ITSELF_AFTER_S

    def _forget(self, now: float) -> None:
        held, old = self._held, now - TOUR_EVERY_S
        self._last = {job: last for job, last in self._last.items() if last > old or job in held}


def _now() -> float:
    return asyncio.get_running_loop().time()

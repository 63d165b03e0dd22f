"""Requests that wait for something to happen to a job, without a connection or a poll each.

They are woken by what this process hears from Redis. What was said and not heard is found by one
look at all the jobs that are waited for, now and then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator, Hashable
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Never, Self, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Uuid, bindparam, text

from optimized_tsp.core.database import Database
from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.tasks import begin_shared, end_tasks

__all__ = ["Waiter", "Waiters"]

logger = structlog.get_logger(__name__)

T = TypeVar("T")

# A lost notification costs at most this; processes that began together do not look together.
_LOOK_ANYWAY_S = (3.0, 4.0)
# Postgres did not answer who had been woken.
_AGAIN_S = 1.0
# What is looked for shares the pool with everything else the API does.
_LOOKS_AT_ONCE = 3

# Whatever anybody waits for changes one of these.
_STATES = text(
    """
    SELECT id, last_seq, log_lines, deleted_at IS NOT NULL AS removed
    FROM jobs WHERE id = ANY (:jobs)
    """
).bindparams(bindparam("jobs", type_=ARRAY(Uuid())))


class _Awaited:
    """A job that somebody waits for."""

    def __init__(self) -> None:
        self.waiters: set[Waiter] = set()
        self.state: tuple[int, int, bool] | None = None
        """What was seen of the job when all were looked at; none of the waiters knows less."""
        self.answers: dict[Hashable, asyncio.Task[Any]] = {}
        """Looks under way that began after the last news."""

    def wake(self) -> None:
        self.answers.clear()
        for waiter in self.waiters:
            waiter.news.set()


class Waiters:
    """Wakes requests when this process hears of their job, or has to assume that it did not.

    Use it as `async with Waiters(database) as waiters` around the life of the application.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs: dict[UUID, _Awaited] = {}
        self._missed = asyncio.Event()
        self._free = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._looks: set[asyncio.Task[Any]] = set()
        self.ended = False

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await end_tasks([self._watching, *self._looks])

    def end(self) -> None:
        """Send everybody home with what there is: this process stops."""
        self.ended = True
        for job in self._jobs.values():
            job.wake()

    def wake(self, job_id: UUID | None) -> None:
        """Something happened to the job; None: something may have happened to any."""
        if job_id is None:
            self._missed.set()
        elif (job := self._jobs.get(job_id)) is not None:
            job.wake()

    @contextmanager
    def waiting_for(self, job_id: UUID) -> Generator[Waiter]:
        """Somebody who waits for the job while the block runs; it has to be committed already."""
        job = self._jobs.setdefault(job_id, _Awaited())
        waiter = Waiter(self, job)
        job.waiters.add(waiter)
        try:
            yield waiter
        finally:
            job.waiters.discard(waiter)
            if not job.waiters:
                del self._jobs[job_id]

    async def answer(
        self, job: _Awaited, question: Hashable, look: Callable[[], Awaitable[T]]
    ) -> T:
        """What `look` finds, or found for somebody else with the same question since the news."""
        answering: asyncio.Task[T] | None = job.answers.get(question)
        if answering is None:
            answering = job.answers[question] = begin_shared(self._look(look))
            self._looks.add(answering)

            def answered(done: asyncio.Task[T]) -> None:
                self._looks.discard(done)
                if job.answers.get(question) is done:
                    del job.answers[question]
                if not done.cancelled():
                    done.exception()  # those who waited for it may all be gone

            answering.add_done_callback(answered)
        return await asyncio.shield(answering)

    async def _look(self, look: Callable[[], Awaitable[T]]) -> T:
        async with self._free:
            return await look()

    async def _watch(self) -> Never:
        failing = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(*_LOOK_ANYWAY_S)):  # noqa: S311
                    await self._missed.wait()
            self._missed.clear()
            try:
                await self._look_at_all()
                failing = False
            except Exception as error:
                if not is_outage(error):
                    logger.exception("waiters_failed")
                elif not failing:
                    logger.warning("waiters_cannot_look", error=repr(error), effect="slower")
                failing = is_outage(error)

    async def _look_at_all(self) -> None:
        """Wake whoever may not have been told of what changed since the last look."""
        if not self._jobs:
            return
        for row in await self._database.alone(_STATES, {"jobs": list(self._jobs)}):
            job = self._jobs.get(row.id)
            state = (row.last_seq, row.log_lines, row.removed)
            if job is not None and job.state != state:
                job.state = state
                job.wake()


class Waiter:
    """One request that waits for a job; made by `Waiters.waiting_for`."""

    def __init__(self, waiters: Waiters, job: _Awaited) -> None:
        self._waiters = waiters
        self._job = job
        self._came_late = waiters.ended
        self._in_vain = False
        self.news = asyncio.Event()

    async def until(
        self,
        look: Callable[[], Awaitable[T | None]],
        question: Hashable,
        *,
        timeout_s: float,
    ) -> T | None:
        """What `look` finds, asked after every event of the job; None when time is up.

        It is asked at once, too, unless it found nothing last time and nothing happened since.
        Those who wait for the job with the same `question` are answered by the same look.
        None, too, when the process begins to stop meanwhile. A Postgres that is away is waited for.
        """
        deadline = monotonic() + timeout_s
        while True:
            if self.news.is_set() or not self._in_vain:
                self.news.clear()
                self._in_vain = False
                found = await self._asked(look, question)
                if found is not None:
                    return found
            left_s = deadline - monotonic()
            if left_s <= 0 or (self._waiters.ended and not self._came_late):
                return None
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s if self._in_vain else min(left_s, _AGAIN_S)):
                    await self.news.wait()

    async def _asked(self, look: Callable[[], Awaitable[T | None]], question: Hashable) -> T | None:
        try:
            found = await self._waiters.answer(self._job, question, look)
        except Exception as error:
            if not is_outage(error):
                raise
            return None  # what woke us is still there to be found
        self._in_vain = found is None
        return found

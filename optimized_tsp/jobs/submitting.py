"""Submissions that come at the same time share a transaction.

While one transaction is on its way to disk the next submissions gather; nobody waits for company.
A submission that cannot be stored fails alone: the others are then stored one by one. One whose
key stands for something else is told so; the others are stored. What waits is bounded: while the
database does not answer, submissions would fill the memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from optimized_tsp.core.database import Database
from optimized_tsp.core.errors import ServiceUnavailable
from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.tasks import begin_shared
from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.storing import NewJob, Stored, store_jobs

__all__ = ["Submitter"]

_WRITERS = 2
_PATIENCE_S = 30.0
# Instances of one transaction: large ones gain nothing by company, and a statement that holds many
# takes several times their memory, here and in Postgres, and longer than anybody waits.
_SHARED_BYTES = 8 * 2**20
# What a small submission takes while it waits: request, connection, task and job. As measured.
_BESIDE_BYTES = 36 * 2**10


@dataclass(slots=True, eq=False)
class _Waiting:
    job: NewJob
    stored: asyncio.Future[Stored] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Submitter:
    """One process's way into the queue; at most `most` submissions share a transaction.

    Submissions of at most `most_bytes` wait at once, or one that is larger.
    """

    def __init__(
        self, database: Database, places: Places, bus: Bus, *, most: int, most_bytes: int
    ) -> None:
        self._database = database
        self._places = places
        self._bus = bus
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._waiting: deque[_Waiting] = deque()
        self._writers: set[asyncio.Task[None]] = set()

    async def submit(self, job: NewJob) -> Stored:
        """Store a job and ring for a worker; returns after the commit.

        Raises what the database raises, `InvalidInput` or `StateConflict` when its key stands for
        something else, and `ServiceUnavailable` when too much waits or it takes too long.
        """
        waiting = _Waiting(job)
        self._take_room(job)
        self._waiting.append(waiting)
        if len(self._writers) < _WRITERS:
            self._writers.add(begin_shared(self._write()))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await waiting.stored
        except TimeoutError:
            raise ServiceUnavailable(
                "The database takes too long; the job may or may not be stored. Repeat the request"
                " with an Idempotency-Key to be sure of having it once."
            ) from None

    @contextmanager
    def room_for(self, job: NewJob) -> Generator[None]:
        """Count this job among what waits, while the block stores it in a transaction of its own.

        Raises `ServiceUnavailable` when too much waits.
        """
        self._take_room(job)
        try:
            yield
        finally:
            self._bytes -= _size(job)

    def _take_room(self, job: NewJob) -> None:
        if self._bytes > 0 and self._bytes + _size(job) > self._most_bytes:
            raise ServiceUnavailable(
                "The database is slow and too much waits for it already; nothing was stored."
                " Try again a little later."
            )
        self._bytes += _size(job)

    async def _write(self) -> None:
        try:
            while self._waiting:
                taken = self._next_taken()
                batch = [waiting for waiting in taken if not waiting.stored.done()]
                if batch:
                    await self._store(batch)
                self._bytes -= sum(_size(waiting.job) for waiting in taken)
        finally:
            # At once, not by a callback: who comes in between would rely on a writer that ended.
            self._writers.difference_update({asyncio.current_task()})

    def _next_taken(self) -> list[_Waiting]:
        """Those who came first, as many as may share a transaction; at least one."""
        taken = [self._waiting.popleft()]
        size = len(taken[0].job.submission.payload)
        while self._waiting and len(taken) < self._most:
            size += len(self._waiting[0].job.submission.payload)
            if size > _SHARED_BYTES:
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _store(self, batch: list[_Waiting]) -> None:
        results: Sequence[Stored | Exception]
        try:
            jobs = [waiting.job for waiting in batch]
            results = await store_jobs(self._database, self._places, jobs)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            if len(batch) > 1 and not is_outage(error):
                for waiting in batch:
                    await self._store([waiting])
                return
            results = [error] * len(batch)
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(result, Stored) and result.is_new:
                self._bus.announce(result.job_id, ring=True)
            if waiting.stored.done():  # whoever asked may be gone; the job is there
                continue
            if isinstance(result, Stored):
                waiting.stored.set_result(result)
            else:
                waiting.stored.set_exception(result)


def _size(job: NewJob) -> int:
    # The request keeps the instance as it was sent, the job has it as it is stored.
    return _BESIDE_BYTES + 2 * len(job.submission.payload)

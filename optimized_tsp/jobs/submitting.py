"""Submissions that come at the same time share a transaction.

While one transaction is on its way to disk the next submissions gather; nobody waits for company.
A submission that the database refuses fails alone: the others are then stored one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from optimized_tsp.core.database import Database
from optimized_tsp.core.errors import ServiceUnavailable
from optimized_tsp.core.outages import is_outage
from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs.queue import queue_length_upto
from optimized_tsp.jobs.service import NewJob, submit_jobs

__all__ = ["Stored", "Submitter"]

_WRITERS = 2
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Stored:
    """A job that was committed: when it was submitted, and its place in the queue then."""

    job: NewJob
    submitted_at: datetime
    queue_position: int


@dataclass(slots=True, eq=False)
class _Waiting:
    job: NewJob
    stored: asyncio.Future[Stored] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Submitter:
    """One process's way into the queue; at most `most` submissions share a transaction."""

    def __init__(self, database: Database, bus: Bus, *, most: int) -> None:
        self._database = database
        self._bus = bus
        self._most = most
        self._waiting: deque[_Waiting] = deque()
        self._writers: set[asyncio.Task[None]] = set()

    async def submit(self, job: NewJob) -> Stored:
        """Store a job and ring for a worker; returns after the commit.

        Raises what the database raises, and `ServiceUnavailable` when it takes too long.
        """
        waiting = _Waiting(job)
        self._waiting.append(waiting)
        if len(self._writers) < _WRITERS:
            self._writers.add(asyncio.create_task(self._write()))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await waiting.stored
        except TimeoutError:
            raise ServiceUnavailable(
                "The database takes too long; the job may or may not be stored. Repeat the request"
                " with an Idempotency-Key to be sure of having it once."
            ) from None

    async def _write(self) -> None:
        try:
            while self._waiting:
                count = min(self._most, len(self._waiting))
                taken = [self._waiting.popleft() for _ in range(count)]
                batch = [waiting for waiting in taken if not waiting.stored.done()]
                if batch:
                    await self._store(batch)
        finally:
            # At once, not by a callback: who comes in between would rely on a writer that ended.
            self._writers.difference_update({asyncio.current_task()})

    async def _store(self, batch: list[_Waiting]) -> None:
        try:
            stored = await self._commit([waiting.job for waiting in batch])
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            if len(batch) > 1 and isinstance(error, DBAPIError) and not is_outage(error):
                for waiting in batch:
                    await self._store([waiting])
                return
            for waiting in batch:
                if not waiting.stored.done():
                    waiting.stored.set_exception(error)
            return
        for waiting, result in zip(batch, stored, strict=True):
            self._bus.announce(result.job.id, ring=True)
            if not waiting.stored.done():  # whoever asked may be gone; the job is there
                waiting.stored.set_result(result)

    async def _commit(self, jobs: list[NewJob]) -> list[Stored]:
        async with self._database.write() as session:
            submitted_at = await submit_jobs(session, jobs)
            ordered = sorted(job.id for job in jobs)
            first = await queue_length_upto(session, ordered[0])
        places: dict[UUID, int] = {job: first + n for n, job in enumerate(ordered)}
        return [Stored(job, submitted_at, places[job.id]) for job in jobs]

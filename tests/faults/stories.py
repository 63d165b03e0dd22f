"""Looks at single jobs of a cluster, and waits for what becomes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text

from optimized_tsp.core.database import Database
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.states import TERMINAL, JobStatus
from tests.promises import overdue


@dataclass(frozen=True)
class Story:
    """What is stored about one job."""

    job: Job
    types: list[str]

    @property
    def status(self) -> JobStatus:
        return JobStatus(self.job.status)


class Stories:
    """Looks at single jobs, and waits for them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell(self, job_id: str) -> Story:
        async with self._database.read() as session:
            job = (await session.scalars(select(Job).where(Job.id == UUID(job_id)))).one()
            types = await session.scalars(
                text("SELECT type FROM events WHERE job_id = :id ORDER BY seq"), {"id": job.id}
            )
            return Story(job, [event.removeprefix("job.") for event in types])

    async def until(
        self, job_id: str, wanted: Callable[[Story], bool], within_s: float = 30.0
    ) -> Story:
        """Wait until the job's story is as wanted; fail with the story when it is not in time."""
        begun = time.monotonic()
        while not wanted(story := await self.tell(job_id)):
            assert not overdue(begun, within_s), (story.status, story.types)
            await asyncio.sleep(0.02)
        return story

    async def until_ended(self, job_id: str, within_s: float = 30.0) -> Story:
        return await self.until(job_id, lambda story: story.status in TERMINAL, within_s)

    async def cursor(self) -> str:
        """Where the feed is."""
        return f"{await newest_position(self._database):x}"

    async def count(self) -> int:
        """Jobs there are."""
        async with self._database.read() as session:
            return int(await session.scalar(text("SELECT count(*) FROM jobs")) or 0)


class Unfinished(NamedTuple):
    """What is still to come: `jobs` wait or run, `webhooks` are owed, `events` have no place."""

    jobs: int
    webhooks: int
    events: int


async def unfinished(database: Database) -> Unfinished:
    """What is left to be done; APIs give events their places in the feed."""
    counts = """
        SELECT (SELECT count(*) FROM jobs WHERE status IN ('Submitted', 'Running')),
               (SELECT count(*) FROM webhook_deliveries
                WHERE delivered_at IS NULL AND failed_at IS NULL),
               (SELECT count(*) FROM events WHERE position IS NULL)
    """
    async with database.read() as session:
        return Unfinished(*(await session.execute(text(counts))).one())


async def newest_position(database: Database) -> int:
    """The feed's last position."""
    async with database.read() as session:
        return int(await session.scalar(text("SELECT max(position) FROM events")) or 0)

"""Logs of jobs for a client that asked for them: what is there, then what comes, to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple
from uuid import UUID

from optimized_tsp.core.database import Database
from optimized_tsp.core.errors import Gone, NotFound, StateConflict
from optimized_tsp.jobs.logs import find_log
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.waiting import Waiters
from optimized_tsp.live.feed import database_trouble
from optimized_tsp.live.frames import log_frame
from optimized_tsp.live.messages import Subscribe

__all__ = ["Logs", "send_log"]

MAX_LOGS = 100
_LINES = 500
_QUIET_S = 3600.0


class Logs:
    """The logs one client is sent: of the job it subscribed to, and of jobs it submitted.

    A job's log is sent once at a time. Where both are asked for it is the subscription's, which
    says from which line on.

    Args:
        database: where the logs are.
        waiters: tell when a job has news.
        jobs: the jobs this client may see.
        send: sends a message; raises when the client is not there any more.
    """

    def __init__(
        self,
        database: Database,
        waiters: Waiters,
        jobs: Scope,
        send: Callable[[str], Awaitable[None]],
    ) -> None:
        self._database = database
        self._waiters = waiters
        self._jobs = jobs
        self._send = send
        self._subscribed: UUID | None = None
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        self._submitted: set[asyncio.Future[UUID]] = set()

    def subscribe(self, tasks: asyncio.TaskGroup, message: Subscribe) -> None:
        """Send the log that this asks for, if it does, instead of the subscription before's."""
        wanted = message.task_id if message.log else None
        for job_id in {self._subscribed, wanted}:
            if job_id is not None and (before := self._sending.pop(job_id, None)) is not None:
                before.cancel()
        self._subscribed = wanted
        if wanted is not None:
            self._sending[wanted] = tasks.create_task(self._of(wanted, message.log_after))

    def expect(self, tasks: asyncio.TaskGroup) -> asyncio.Future[UUID]:
        """Send the log of the job whose id this is told, unless it is cancelled instead.

        Raises `StateConflict` when too many logs are sent already.
        """
        # What was refused takes no place.
        self._submitted = {job for job in self._submitted if not job.cancelled()}
        if len(self._submitted) >= MAX_LOGS:
            raise StateConflict(
                f"The logs of {MAX_LOGS} jobs submitted on this connection are being sent; wait "
                "for some of them to end, or submit without the log."
            )
        expected: asyncio.Future[UUID] = asyncio.get_running_loop().create_future()
        self._submitted.add(expected)
        tasks.create_task(self._of_submitted(expected))
        return expected

    async def _of_submitted(self, expected: asyncio.Future[UUID]) -> None:
        job_id = await expected
        task = asyncio.current_task()
        try:
            if task is not None and job_id not in self._sending:
                self._sending[job_id] = task
                await self._of(job_id, 0)
        finally:
            self._submitted.discard(expected)

    async def _of(self, job_id: UUID, after: int) -> None:
        try:
            await send_log(
                self._database, self._waiters, self._jobs, job_id, after=after, send=self._send
            )
        finally:
            if self._sending.get(job_id) is asyncio.current_task():
                del self._sending[job_id]


async def send_log(
    database: Database,
    waiters: Waiters,
    scope: Scope,
    job_id: UUID,
    *,
    after: int,
    send: Callable[[str], Awaitable[None]],
) -> None:
    """Send a job's log behind line `after`; returns when the job has ended and all is sent.

    Lines that retention has removed are passed over. Raises `ServiceUnavailable`.
    """
    over = False
    with waiters.waiting_for(job_id) as waiter:
        while not over:
            news = partial(_part, database, scope, job_id, after)
            try:
                part = await waiter.until(news, ("log", scope, after), timeout_s=_QUIET_S)
            except Gone as gone:
                after = int(gone.extensions()["oldest"])
                continue
            except NotFound:  # removed from the API meanwhile
                return
            if part is not None:
                await send(part.frame)
                after, over = part.last, part.complete


class _Part(NamedTuple):
    """Lines of a log as they are sent, to everybody who waits for them."""

    frame: str
    last: int
    complete: bool


async def _part(database: Database, scope: Scope, job_id: UUID, after: int) -> _Part | None:
    with database_trouble():
        async with database.read() as session:
            found = await find_log(session, scope, job_id, after=after, limit=_LINES)
    if not found.lines and not found.complete:
        return None
    last = found.lines[-1].line if found.lines else after
    return _Part(log_frame(job_id, found), last, found.complete)

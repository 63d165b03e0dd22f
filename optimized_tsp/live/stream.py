"""The events one client is sent: in the order of the feed, none missed, none twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Never
from uuid import UUID

from optimized_tsp.core.errors import StateConflict
from optimized_tsp.events.filter import EventFilter, Wanted
from optimized_tsp.events.log import FeedRange
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.live.feed import Feed
from optimized_tsp.live.frames import (
    expired_frame,
    subscribed_frame,
    tour_frame,
    with_solution,
)
from optimized_tsp.live.messages import Subscribe
from optimized_tsp.live.outbox import Batch, Frame, Outbox
from optimized_tsp.live.protocol import Writer
from optimized_tsp.live.subscription import CursorExpired, check_cursor, check_job, jobs_of
from optimized_tsp.live.tours import TourPace

__all__ = ["Stream", "TooSlow"]

FIRST_MESSAGE_S = 1.0
MAX_FOLLOWED = 10_000
# How many frames are sent in one go before others get their turn.
_BURST = 100


class TooSlow(Exception):
    """The client reads more slowly than its events arrive."""


class Stream:
    """What one client subscribed to, and beside it the jobs it submitted, until they end.

    Args:
        feed: where events come from.
        scope: the events this client may see at all.
        send: sends a message; raises when the client is not there any more.
        writer: writes whole frames to the client when that need not wait.
    """

    # One piece of memory each: a hand-out touches thousands of these, and little else of a client.
    __slots__ = (
        "_feed",
        "_followed",
        "_followed_until",
        "_opened",
        "_outbox",
        "_pace",
        "_scope",
        "_send",
        "_start",
        "_task",
        "_tasks",
        "_tours",
        "_unanswered",
        "_undecided",
        "_writer",
    )

    def __init__(
        self,
        feed: Feed,
        scope: EventFilter,
        send: Callable[[str], Awaitable[None]],
        writer: Writer,
    ) -> None:
        self._feed = feed
        self._scope = feed.shared(scope)
        self._send = send
        self._writer = writer
        self._start = 0
        self._opened: FeedRange | None = None
        self._undecided = True
        self._outbox = Outbox(Wanted(None, 0), self)
        self._task: asyncio.Task[None] | None = None
        # Jobs that are followed, with their tours or without.
        self._followed: dict[UUID, bool] = {}
        # Every event up to here of a job that is followed was sent.
        self._followed_until = 0
        self._unanswered: dict[UUID, asyncio.Event] = {}
        self._tours = False
        self._pace = TourPace()

    @property
    def jobs(self) -> Scope:
        """The jobs whose events this client may see."""
        return jobs_of(self._scope)

    async def open(self) -> None:
        """Miss nothing from now on; raises `ServiceUnavailable`."""
        self._opened = await self._feed.now()
        self._start = self._followed_until = self._opened.head

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Send everything from `open` on, after a moment in which the client may say otherwise."""
        self._tasks = tasks
        self._task = tasks.create_task(self._by_default())

    def close(self) -> None:
        """Take nothing from the feed any more."""
        self._feed.leave(self._outbox)
        self._outbox.idle = False

    async def subscribe(self, message: Subscribe) -> None:
        """Send what this asks for instead of what was asked for before."""
        await self._stop()
        self._tours = message.tours
        self._pace.keep_only(self._followed)
        self._task = self._tasks.create_task(self._as_asked(message))

    async def expect_jobs(self) -> None:
        """A job will be followed: whoever has not subscribed by now is sent nothing else."""
        if self._undecided:
            await self._stop()
            self._opened = None
            self._task = self._tasks.create_task(self._run(None, self._start, self._start))

    @contextmanager
    def following(self, *, tours: bool) -> Generator[Callable[[UUID], bool]]:
        """Gives a function to call with a new job's id before the job is committed.

        Its events are sent from the first to the last, beginning when the block has ended; they are
        not when the block raises. Of a job that is not new they are sent from now on. The function
        says whether the job was not followed before; it raises `StateConflict` when too many are.
        """
        answered = asyncio.Event()
        jobs: list[UUID] = []

        def follow(job_id: UUID) -> bool:
            if job_id in self._followed:
                return False
            if len(self._followed) >= MAX_FOLLOWED:
                raise StateConflict(
                    f"{MAX_FOLLOWED} jobs submitted on this connection have not ended yet; "
                    "wait for some of them, or submit by POST."
                )
            jobs.append(job_id)
            self._followed[job_id] = tours
            self._unanswered[job_id] = answered
            return True

        try:
            yield follow
        except BaseException:
            for job_id in jobs:
                self._followed.pop(job_id, None)
            raise
        finally:
            answered.set()
            for job_id in jobs:
                del self._unanswered[job_id]

    def forget(self, job_id: UUID) -> None:
        """Follow a job no more."""
        self._followed.pop(job_id, None)

    async def _stop(self) -> None:
        self._undecided = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._outbox.idle:
            self._note(self._feed.offered)
        self.close()

    async def _by_default(self) -> None:
        await asyncio.sleep(FIRST_MESSAGE_S)
        self._undecided = False
        self._opened = None
        await self._send(subscribed_frame(self._start))
        await self._run(self._scope, self._start, self._start)

    async def _as_asked(self, message: Subscribe) -> None:
        wanted = self._feed.shared(
            replace(self._scope, task_id=message.task_id, tag=message.key_and_value)
        )
        if wanted.task_id is not None:
            async with self._feed.reading() as session:
                await check_job(session, wanted)
        now = await self._range_for(message)
        after = now.head if message.position is None else message.position
        try:
            check_cursor(now, after)
        except CursorExpired as expired:
            await self._go_on_after(expired)
        await self._send(subscribed_frame(after))
        await self._run(wanted, after, now.head)

    async def _range_for(self, message: Subscribe) -> FeedRange:
        """Where the feed is. Who begins with a cursor was told already; later it is asked again."""
        opened, self._opened = self._opened, None
        if opened is None or message.position is None or message.position > opened.newest:
            return await self._feed.now()
        return opened

    async def _run(self, subscribed: EventFilter | None, after: int, now: int) -> Never:
        """Send what is wanted behind `after`; `now` is a recent answer of the feed's."""
        wanted = Wanted(subscribed, after, self._followed, self._followed_until)
        outbox = self._outbox = Outbox(wanted, self)
        position = wanted.start
        upto = self._feed.join(outbox, after=position, now=now)
        try:
            while True:
                await self._replay(wanted, position, upto)
                position = await self._send_live(outbox)
                upto = self._feed.join(outbox, after=position, now=position)
        except CursorExpired as expired:
            await self._go_on_after(expired)

    async def _go_on_after(self, expired: CursorExpired) -> Never:
        """Say that the subscription cannot be had; jobs are still followed."""
        self.close()
        await self._send(expired_frame(expired.oldest))
        self._note(expired.oldest)
        now = (await self._feed.now()).head
        await self._run(None, now, now)

    async def _replay(self, wanted: Wanted, position: int, upto: int) -> None:
        async for batches in self._feed.replay(wanted, after=position, upto=upto):
            for batch in batches:
                if not self.write(batch):
                    for frame in batch.frames:
                        await self._send(await self._text(frame))
                        self._sent(frame)
            await asyncio.sleep(0)
        self._note(upto)

    async def _send_live(self, outbox: Outbox) -> int:
        """Send what the feed puts into the outbox; when that overflowed, return how far we are."""
        sent = 0
        while (frame := await self._next(outbox)) is not None:
            await self._send_from(outbox, await self._text(frame))
            self._sent(frame)
            sent += 1
            if sent % _BURST == 0:
                await asyncio.sleep(0)
        return outbox.sent

    def write(self, batch: Batch) -> bool:
        """Send it to a client that waits for events, if none of it is special for this client."""
        plain = not (self._tours or self._followed or self._unanswered)
        if not plain and any(self._is_special(frame) for frame in batch.frames):
            return False
        if not self._writer.write(batch.wire):
            return False
        if self._followed:
            for frame in batch.frames:
                self._sent(frame)
        else:
            self._note(batch.last)
        return True

    def _is_special(self, frame: Frame) -> bool:
        """Whether it has to wait, or is sent with a tour."""
        with_tour = frame.cost is not None and self._wants_tours(frame.task_id)
        return with_tour or frame.task_id in self._unanswered

    def _wants_tours(self, task_id: UUID) -> bool:
        return self._tours or self._followed.get(task_id, False)

    async def _next(self, outbox: Outbox) -> Frame | None:
        while (due := self._pace.due) is not None:
            try:
                if due > asyncio.get_running_loop().time():
                    async with asyncio.timeout_at(due):
                        return await outbox.take()
            except TimeoutError:
                outbox.idle = False  # what comes now has to wait for the tours
            for task_id, cost in self._pace.release().items():
                solution = await self._feed.tours.best(task_id, cost)
                if solution is not None:
                    await self._send_from(outbox, tour_frame(task_id, solution))
        return await outbox.take()

    async def _send_from(self, outbox: Outbox, text: str) -> None:
        outbox.held_up = True  # seen by others only if the socket makes us wait
        await self._send(text)
        outbox.held_up = False
        if outbox.too_slow:
            raise TooSlow

    async def _text(self, frame: Frame) -> str:
        """The frame as this client gets it, when it may get it."""
        if (answered := self._unanswered.get(frame.task_id)) is not None:
            await answered.wait()
        if (
            frame.cost is None
            or not self._wants_tours(frame.task_id)
            or not self._pace.admits(frame)
        ):
            return frame.text
        solution = await self._feed.tours.best(frame.task_id, frame.cost)
        return frame.text if solution is None else with_solution(frame.text, solution)

    def _sent(self, frame: Frame) -> None:
        self._note(frame.position)
        if frame.terminal:
            self._followed.pop(frame.task_id, None)

    def _note(self, position: int) -> None:
        self._followed_until = max(self._followed_until, position)

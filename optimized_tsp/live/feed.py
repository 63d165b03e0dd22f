"""The feed of one API process: reads new events once and hands them to every subscriber."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple, Self
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from optimized_tsp.core.database import Database, ReadSession
from optimized_tsp.core.errors import ServiceUnavailable
from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.tasks import begin_shared, end_tasks
from optimized_tsp.core.tracing import NoTracing, SpanKind, Tracing
from optimized_tsp.events.bus import Bus, Channel
from optimized_tsp.events.filter import EventFilter, Wanted
from optimized_tsp.events.listen import listen
from optimized_tsp.events.log import FeedRange, events_after, feed_range, replay_page, sequence
from optimized_tsp.events.types import TERMINAL_EVENTS, JobEvent
from optimized_tsp.live.handout import HandOut
from optimized_tsp.live.history import History
from optimized_tsp.live.outbox import Batch, Outbox
from optimized_tsp.live.subscription import check_cursor
from optimized_tsp.live.tours import Tours

__all__ = ["Feed", "FeedLoad", "database_trouble"]

logger = structlog.get_logger(__name__)

# How often it looks by itself while somebody listens: messages of Redis may be lost.
_LOOK_S = 1.0
# And while nobody does, so that the first who comes does not wait for a long backlog's positions.
_IDLE_LOOK_S = 10.0
_PAUSE_AFTER_ERROR_S = 0.5
_PAGE = 500
# Replays share the pool with everything else the API does.
_CONCURRENT_READS = 3
# So many clients get their events before everything else in the process has its turn.
_CLIENTS_AT_ONCE = 100
# Handing out to very many takes a while. So long, as a part of that time, what is new waits for
# company: the events of a short job then cost one write to every client, not one each.
_GATHER_PART = 0.25
_GATHER_FROM_S = 0.001
_GATHER_AT_MOST_S = 0.05


class FeedLoad(NamedTuple):
    """How many clients there are, and what waits for them (`longest`: bytes for one of them)."""

    clients: int
    events: int
    bytes: int
    longest: int


class Feed:
    """One subscription to Redis and one reader of Postgres, whatever the number of subscribers.

    Use it as `async with Feed(database, bus) as feed` around the life of the application.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        heard: Callable[[UUID | None], None] | None = None,
        tracing: Tracing | None = None,
        handed_out: Callable[[float], None] | None = None,
    ) -> None:
        """`heard` is called as by `listen`, before anything is read; `handed_out` with the
        seconds from the first client to the last whenever events were handed out."""
        self._tracing = tracing or NoTracing()
        self._handed_out = handed_out
        self._took_s = 0.0
        self.tours = Tours(self.reading)
        self._history = History(self.reading)
        self._database = database
        self._bus = bus
        self._heard = heard
        self.clients = 0
        self._outboxes: dict[Outbox, None] = {}
        self._filters: WeakValueDictionary[EventFilter, EventFilter] = WeakValueDictionary()
        # Events up to `_position` are handed out or on their way, up to `_offered` all of them are.
        self._position = 0
        self._offered = 0
        self._rung = asyncio.Event()
        self._reads = asyncio.Semaphore(_CONCURRENT_READS)
        self._dividing = asyncio.Lock()
        self._next_division: asyncio.Task[FeedRange] | None = None
        self._divisions: set[asyncio.Task[FeedRange]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for work in (listen(self._bus, Channel.EVENTS, self._hear), self._read()):
            task = asyncio.create_task(work)
            task.add_done_callback(_report)
            self._tasks.append(task)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await end_tasks([*self._tasks, *self._divisions])

    @property
    def offered(self) -> int:
        """Every event up to here was given to every outbox that was open at that time."""
        return self._offered

    def shared(self, subscribed: EventFilter) -> EventFilter:
        """The one object for this filter: clients with the same one are served together."""
        return self._filters.setdefault(subscribed, subscribed)

    def load(self) -> FeedLoad:
        """How much the feed has to do right now."""
        queues = [outbox.size for outbox in self._outboxes]
        sizes = [size for _, size in queues]
        return FeedLoad(
            self.clients, sum(count for count, _ in queues), sum(sizes), max(sizes, default=0)
        )

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[ReadSession]:
        """A session for a subscriber's reading, a few at a time; raises `ServiceUnavailable`."""
        async with self._reads:
            with database_trouble():
                async with self._database.read() as session:
                    yield session

    async def now(self) -> FeedRange:
        """Its `head` divides what was committed before this call from what comes after.

        Whoever asks while others are answered is answered together with the next: thousands of
        clients that come back at once cost a few looks, not thousands. Raises `ServiceUnavailable`.
        """
        if self._next_division is None:
            self._next_division = begin_shared(self._divide())
            self._divisions.add(self._next_division)
            self._next_division.add_done_callback(self._divided)
        return await asyncio.shield(self._next_division)

    def _divided(self, division: asyncio.Task[FeedRange]) -> None:
        self._divisions.discard(division)
        if not division.cancelled():
            division.exception()  # those who waited for it may all be gone

    async def _divide(self) -> FeedRange:
        async with self._dividing, self._reads:
            self._next_division = None  # who asks from now on needs a later answer
            with database_trouble():
                await sequence(self._database)
                async with self._database.read() as session:
                    return await feed_range(session)

    def join(self, outbox: Outbox, *, after: int, now: int) -> int:
        """Open the outbox and return a position P: it gets every event behind P and `after`.

        Events up to P are there to be read already. `now` is the head of a recent `now()`.
        """
        if not self._outboxes and now > self._position:
            # Nobody listened, so nothing was read: go on from the end, not from back then.
            self._position = self._offered = now
            self._history.restart(now)
        outbox.open(after=max(after, self._position))
        self._outboxes[outbox] = None
        self._rung.set()
        return self._position

    def leave(self, outbox: Outbox) -> None:
        """Offer it nothing any more."""
        self._outboxes.pop(outbox, None)

    async def replay(self, wanted: Wanted, *, after: int, upto: int) -> AsyncGenerator[list[Batch]]:
        """Wanted events with `after` < position <= `upto`, page by page.

        What is not long ago comes from memory. Raises `CursorExpired` when some of them were pruned
        meanwhile.
        """
        # One job's events are few: to read just them is less than all that happened since.
        read = wanted.task_id is None
        while after < upto:
            if await self._history.has(after, read=read):
                events, end = self._history.stretch(after, upto)
            else:
                async with self.reading() as session:
                    page = await replay_page(session, wanted, after=after, upto=upto, limit=_PAGE)
                    check_cursor(await feed_range(session), after)
                events, end = HandOut(page.events), page.end
            yield events.wanted(wanted, after=after)
            after = end

    def _hear(self, job_id: UUID | None) -> None:
        if self._heard is not None:
            self._heard(job_id)
        if self._outboxes:
            self._rung.set()

    async def _read(self) -> None:
        failing = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S if self._outboxes else _IDLE_LOOK_S):
                    await self._rung.wait()
            gather_s = min(_GATHER_PART * self._took_s, _GATHER_AT_MOST_S)
            if gather_s >= _GATHER_FROM_S:
                await asyncio.sleep(gather_s)
            self._rung.clear()
            try:
                await self._look()
                failing = False
            except Exception as error:
                if not is_outage(error):
                    logger.exception("feed_failed")
                elif not failing:
                    logger.warning("feed_cannot_read", error=repr(error), effect="events wait")
                failing = is_outage(error)
                # The next look reads the same events again, for those who have not got them: the
                # subscribers must not starve in silence because of one bad look.
                self._position = self._offered
                await asyncio.sleep(_PAUSE_AFTER_ERROR_S)

    async def _look(self) -> None:
        await sequence(self._database)
        more = True
        while more and self._outboxes:
            async with self._database.read() as session:
                events = await events_after(session, self._position, limit=_PAGE)
            if events:
                await self._hand_out(events)
            more = len(events) == _PAGE

    async def _hand_out(self, events: list[JobEvent]) -> None:
        # Whoever joins from now on finds them in Postgres already, and gets what comes after.
        self._position = max(self._position, events[-1].position)
        self._history.add(events)
        hand_out, began = HandOut(events), time.perf_counter()
        for number, outbox in enumerate(list(self._outboxes), start=1):
            if outbox in self._outboxes:  # others had their turn meanwhile
                for batch in hand_out.wanted_by(outbox):
                    outbox.give(batch)
                if outbox.full:
                    self.leave(outbox)
            if number % _CLIENTS_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._offered = max(self._offered, events[-1].position)
        self._took_s = time.perf_counter() - began
        if self._handed_out is not None:
            self._handed_out(self._took_s)
        for event, clients in hand_out.reached():
            if event.type in TERMINAL_EVENTS:
                self._trace(event, clients)

    def _trace(self, event: JobEvent, clients: int) -> None:
        """The last part of a job's trace: from its end to the queues of those who watch."""
        parent = event.data.get("traceparent")
        if parent is None:
            return
        with self._tracing.span(
            f"notify {event.type}", kind=SpanKind.PRODUCER, parent=parent, began_at=event.at
        ) as span:
            span.set(job=str(event.task_id), clients=clients)


@contextmanager
def database_trouble() -> Generator[None]:
    """Turns a database that is away into `ServiceUnavailable`; defects stay what they are."""
    try:
        yield
    except Exception as error:
        if not is_outage(error):
            raise
        logger.warning("feed_cannot_replay", error=repr(error))
        raise ServiceUnavailable(
            "The database does not answer; connect again with your last cursor."
        ) from error


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("feed_task_ended", exc_info=error)

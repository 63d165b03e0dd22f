"""What happened last, kept in memory: who comes back a moment later costs Postgres nothing."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from operator import attrgetter

from optimized_tsp.core.database import ReadSession
from optimized_tsp.events.log import feed_range, last_events
from optimized_tsp.events.types import JobEvent
from optimized_tsp.live.handout import HandOut
from optimized_tsp.live.subscription import CursorExpired

__all__ = ["History"]

MAX_EVENTS = 5000
"""How many events are kept, of all tenants: a few megabytes as a rule."""

_PAGE = 500
# Clients that come back together ask for the same few stretches.
_STRETCHES = 8

_position_of = attrgetter("position")


class History:
    """Every event with `start` < position <= `end`.

    It grows with what the feed reads, and back in time when somebody wants what is not far away:
    once for all who want it.
    """

    def __init__(self, reading: Callable[[], AbstractAsyncContextManager[ReadSession]]) -> None:
        self._reading = reading
        self._events: list[JobEvent] = []
        self._stretches: dict[tuple[int, int], HandOut] = {}
        self._going_back = asyncio.Lock()
        self.start = self.end = 0

    def restart(self, position: int) -> None:
        """Forget everything: what was read last is no longer what happens next."""
        self._events = []
        self.start = self.end = position

    def add(self, events: Sequence[JobEvent]) -> None:
        """Keep these; all events between `end` and the last of them must be among them."""
        self._events += events[bisect_right(events, self.end, key=_position_of) :]
        self.end = max(self.end, events[-1].position)
        # Not at every event: what is behind has to be moved.
        if len(self._events) >= MAX_EVENTS + _PAGE:
            surplus = len(self._events) - MAX_EVENTS
            self.start = self._events[surplus - 1].position
            del self._events[:surplus]

    async def has(self, after: int, *, read: bool) -> bool:
        """Whether everything behind `after` is here; `read` it if that is not much.

        Raises `CursorExpired` and `ServiceUnavailable`.
        """
        while after < self.start:
            if not read or self.end - after > MAX_EVENTS:
                return False
            async with self._going_back:
                if after < self.start:
                    await self._go_back(after)
        return True

    async def _go_back(self, after: int) -> None:
        """One page."""
        start = self.start
        async with self._reading() as session:
            events = await last_events(session, after=after, upto=start, limit=_PAGE)
            oldest = (await feed_range(session)).oldest
        if oldest > after:  # some of these may have been pruned before they were read
            raise CursorExpired(oldest)
        if self.start == start:
            self._events = events + self._events
            self.start = events[0].position - 1 if len(events) == _PAGE else after

    def stretch(self, after: int, upto: int) -> tuple[HandOut, int]:
        """Events behind `after`, and up to where they are all; that is at most `upto`.

        `after` is not before `start`, `upto` not behind `end`.
        """
        first, last = (bisect_right(self._events, p, key=_position_of) for p in (after, upto))
        if last - first > _PAGE:
            last = first + _PAGE
            upto = self._events[last - 1].position
        stretch = self._stretches.get((after, upto))
        if stretch is None:
            while len(self._stretches) >= _STRETCHES:
                del self._stretches[next(iter(self._stretches))]
            stretch = self._stretches[after, upto] = HandOut(self._events[first:last])
        return stretch, upto

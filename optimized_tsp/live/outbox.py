"""The bounded queue between the feed and one subscriber's socket."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from optimized_tsp.events.filter import EventFilter
from optimized_tsp.events.types import JobEvent
from optimized_tsp.live.messages import event_frame

__all__ = ["Frame", "Outbox"]

MAX_FRAMES = 10_000
MAX_BYTES = 2**20


class Frame(NamedTuple):
    """A message with an event, ready to be sent; every subscriber's queue holds the same one."""

    position: int
    text: str

    @staticmethod
    def of(event: JobEvent) -> Frame:
        return Frame(event.position, event_frame(event))


class Outbox:
    """Frames that wait for one subscriber.

    It never grows past its bounds. When it is full it takes nothing more (`full`) until it is
    opened again; what it did not take is read from Postgres then. If the socket was what held it up
    (`held_up`), the reader is too slow (`too_slow`) and what waited is dropped.
    """

    def __init__(self, wanted: EventFilter) -> None:
        self.wanted = wanted
        self.full = False
        self.held_up = False
        self.too_slow = False
        self._after = 0
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._something_new = asyncio.Event()

    def open(self, *, after: int) -> None:
        """Take events from the feed, those behind the position `after`."""
        self._after = after
        self.full = False

    def wants(self, event: JobEvent) -> bool:
        """Whether the event should be put in."""
        return not self.full and event.position > self._after and self.wanted.matches(event)

    def put(self, frame: Frame) -> None:
        """Add a frame, or become full."""
        self._something_new.set()
        size = len(frame.text)
        if len(self._frames) < MAX_FRAMES and self._bytes + size <= MAX_BYTES:
            self._frames.append(frame)
            self._bytes += size
            return
        self.full = True
        if self.held_up:
            self.too_slow = True
            self._frames.clear()
            self._bytes = 0

    async def take(self) -> Frame | None:
        """The next frame, as soon as there is one; None when it is empty because it was full."""
        while not self._frames:
            if self.full:
                return None
            self._something_new.clear()
            await self._something_new.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame.text)
        return frame

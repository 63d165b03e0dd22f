"""The bounded queue between the feed and one subscriber's socket."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple
from uuid import UUID

from optimized_tsp.events.filter import Wanted
from optimized_tsp.events.types import TERMINAL_EVENTS, EventType, JobEvent
from optimized_tsp.live.frames import event_frame

__all__ = ["Frame", "Outbox"]

MAX_FRAMES = 10_000
MAX_BYTES = 2**20

_TELL_OF_SOLUTIONS = TERMINAL_EVENTS | {EventType.INCUMBENT}


class Frame(NamedTuple):
    """A message with an event, ready to be sent; every subscriber's queue holds the same one.

    `cost` is that of the solution the event tells of, None when it tells of none.
    """

    position: int
    text: str
    task_id: UUID
    terminal: bool
    cost: int | None

    @staticmethod
    def of(event: JobEvent) -> Frame:
        return Frame(
            position=event.position,
            text=event_frame(event),
            task_id=event.task_id,
            terminal=event.type in TERMINAL_EVENTS,
            cost=event.data.get("cost") if event.type in _TELL_OF_SOLUTIONS else None,
        )


class Outbox:
    """Frames that wait for one subscriber.

    It never grows past its bounds. When it is full it takes nothing more (`full`) until it is
    opened again; what it did not take is read from Postgres then. If the socket was what held it up
    (`held_up`), the reader is too slow (`too_slow`) and what waited is dropped. While the reader
    has dealt with everything and waits for more it is `idle`.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.full = False
        self.held_up = False
        self.too_slow = False
        self.idle = False
        self._after = 0
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._something_new = asyncio.Event()

    @property
    def size(self) -> tuple[int, int]:
        """How many frames wait, and how many characters they have."""
        return len(self._frames), self._bytes

    def open(self, *, after: int) -> None:
        """Take events from the feed, those behind the position `after`."""
        self._after = after
        self.full = False

    def wants(self, event: JobEvent) -> bool:
        """Whether the event should be put in."""
        return not self.full and event.position > self._after and self.wanted.matches(event)

    def put(self, frame: Frame) -> None:
        """Add a frame, or become full."""
        self.idle = False
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
            self.idle = True
            self._something_new.clear()
            await self._something_new.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame.text)
        return frame

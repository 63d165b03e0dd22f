"""The bounded queue between the feed and one subscriber's socket."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from optimized_tsp.events.filter import Wanted
from optimized_tsp.events.types import TERMINAL_EVENTS, EventType, JobEvent
from optimized_tsp.live.frames import event_frame

__all__ = ["Batch", "Frame", "Outbox"]

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


@dataclass(slots=True, eq=False)
class Batch:
    """Frames that follow each other, at least one; `wire` is all of them as they are written."""

    frames: list[Frame]
    wire: bytes
    last: int
    """The position of the last of them."""
    clients: int = 0
    """How many clients were given it."""


class Direct(Protocol):
    """Sends a batch if nothing stands in its way."""

    def write(self, batch: Batch) -> bool:
        """Send it, or say that it was not sent."""


class Outbox:
    """What one subscriber is given: written to its socket at once, or else frames that wait.

    `direct` is asked to send a batch only while nothing waits. The queue never grows past its
    bounds. When it is full it takes nothing more (`full`) until it is opened again; what it did not
    take is read from Postgres then. If the socket was what held it up (`held_up`), the reader is
    too slow (`too_slow`) and what waited is dropped. While the reader has dealt with everything and
    waits for more it is `idle`. Events up to `after` were given to it, or are older than it; those
    up to `sent` were written or taken.
    """

    __slots__ = (
        "_bytes",
        "_direct",
        "_frames",
        "_something_new",
        "after",
        "full",
        "held_up",
        "idle",
        "sent",
        "too_slow",
        "wanted",
    )

    def __init__(self, wanted: Wanted, direct: Direct) -> None:
        self.wanted = wanted
        self.after = 0
        self.sent = 0
        self._direct = direct
        self.full = False
        self.held_up = False
        self.too_slow = False
        self.idle = False
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._something_new = asyncio.Event()

    @property
    def size(self) -> tuple[int, int]:
        """How many frames wait, and how many characters they have."""
        return len(self._frames), self._bytes

    def open(self, *, after: int) -> None:
        """Take events from the feed, those behind the position `after`."""
        self.after = self.sent = after
        self.full = False
        self.idle = False

    def give(self, batch: Batch) -> None:
        """Write the batch, or let it wait; what there is no room for is left out (`full`)."""
        if self.idle and self._direct.write(batch):
            self.after = self.sent = batch.last
            return
        for frame in batch.frames:
            if self.full:
                return
            self._put(frame)
        self.after = batch.last

    def _put(self, frame: Frame) -> None:
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
        self.sent = frame.position
        return frame

"""Requests that wait for something to happen to a job, without a connection or a poll each."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar
from uuid import UUID

__all__ = ["Waiters"]

T = TypeVar("T")

# A lost notification costs at most this.
_LOOK_ANYWAY_S = 1.0


class Waiters:
    """Wakes requests when the feed of this process hears of their job."""

    def __init__(self) -> None:
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self.ended = False

    def end(self) -> None:
        """Send everybody home with what there is: this process stops."""
        self.ended = True
        for events in self._waiting.values():
            for event in events:
                event.set()

    def wake(self, job_id: UUID) -> None:
        """Something happened to the job."""
        for event in self._waiting.get(job_id, ()):
            event.set()

    async def until(
        self, job_id: UUID, look: Callable[[], Awaitable[T | None]], *, timeout_s: float
    ) -> T | None:
        """What `look` finds, asked now and after every event of the job; None when time is up.

        None, too, when the process begins to stop meanwhile.
        """
        deadline, came_late = monotonic() + timeout_s, self.ended
        happened = asyncio.Event()
        self._waiting[job_id].add(happened)
        try:
            while (found := await look()) is None:
                left_s = deadline - monotonic()
                if left_s <= 0 or (self.ended and not came_late):
                    return None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(happened.wait(), min(left_s, _LOOK_ANYWAY_S))
                happened.clear()
            return found
        finally:
            self._waiting[job_id].discard(happened)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

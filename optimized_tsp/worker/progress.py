"""Stores a run's progress, seldom enough for the database and soon enough for those who watch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.solvers import process

__all__ = ["BOUND_EVERY_S", "INCUMBENT_EVERY_S", "ProgressWriter"]

INCUMBENT_EVERY_S = 1 / 5
BOUND_EVERY_S = 1 / 2
# Solves of small problems end this soon after their first incumbent: one transaction for both.
_END_MAY_COME_S = 0.005


class ProgressWriter:
    """Stores the first incumbent at once, later ones at most 5 and bounds at most 2 a second.

    What comes too early is held back; when its time comes the latest is stored. `store` returns
    whether it was news. `used_s` is the solving time of earlier runs. Where the end of the run
    comes with its first incumbent, that is left to whoever stores the end (`unstored_first`).
    """

    def __init__(self, store: Callable[[Progress], Awaitable[bool]], *, used_s: float) -> None:
        self._store = store
        self._used_s = used_s
        self._latest: process.Progress | None = None
        self._improved = False
        self._incumbent_due = inf
        self._bound_due = -inf
        self._first: process.Progress | None = None
        self._closing = False
        self._changed = asyncio.Event()

    def note(self, seen: process.Progress) -> None:
        """Take what the solver reports; cheap."""
        if seen.improved and self._incumbent_due == inf:
            self._first = seen
            self._incumbent_due = asyncio.get_running_loop().time() + _END_MAY_COME_S
        self._latest = seen
        self._improved = self._improved or seen.improved
        self._changed.set()

    def close(self) -> None:
        """Let `run` end after what it is storing.

        Whatever is held back is in the answer, which comes next.
        """
        self._closing = True
        self._changed.set()

    def unstored_first(self) -> Progress | None:
        """The run's first incumbent, when it was closed before that was stored."""
        first = self._first
        return None if first is None else self._progress(first, improved=True)

    async def run(self) -> None:
        """Store until closed; errors of `store` pass."""
        clock = asyncio.get_running_loop().time
        while not self._closing:
            due = self._due()
            if due <= clock():
                await self._store_latest()
            else:
                await self._change_or(due)

    def _due(self) -> float:
        if self._latest is None:
            return inf
        return self._incumbent_due if self._improved else self._bound_due

    async def _change_or(self, due: float) -> None:
        try:
            async with asyncio.timeout_at(None if due == inf else due):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _store_latest(self) -> None:
        latest, improved = self._latest, self._improved
        if latest is None:
            return
        self._latest, self._improved = None, False
        if improved:
            self._first = None
        now = asyncio.get_running_loop().time()
        if not await self._store(self._progress(latest, improved=improved)):
            return
        if improved:
            self._incumbent_due = now + INCUMBENT_EVERY_S
        else:
            self._bound_due = now + BOUND_EVERY_S

    def _progress(self, seen: process.Progress, *, improved: bool) -> Progress:
        return Progress(
            solution=seen.solution if improved else None,
            lower_bound=seen.lower_bound,
            elapsed_s=self._used_s + seen.elapsed_s,
        )

"""Stores what a run says of itself: in batches, so that a talkative solver costs little."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from optimized_tsp.jobs.leases import Claim
from optimized_tsp.jobs.logs import NewLine
from optimized_tsp.solvers.process import LogLine, SolveReport, SolveRequest

__all__ = ["LOG_EVERY_S", "LogWriter", "said_at_end", "said_at_start"]

LOG_EVERY_S = 0.5
"""A kill of the worker costs at most so much of the log."""


class LogWriter:
    """Stores lines at most twice a second.

    A run that is over sooner than that costs no transaction for its log: its lines are in `rest`,
    for the one that ends it.

    Args:
        store: takes lines and the number of the last line before them; returns that of the last
            line stored.
        used_s: the solving time of the job before the solver began.
        after: the number of the last line that is stored already.
    """

    def __init__(
        self,
        store: Callable[[Sequence[NewLine], int], Awaitable[int]],
        *,
        used_s: float,
        after: int,
    ) -> None:
        self._store = store
        self.used_s = used_s
        self._after = after
        self._lines: list[NewLine] = []
        self._closing = asyncio.Event()

    def note(self, line: LogLine) -> None:
        """Take a line of the solver; cheap."""
        elapsed_s = self.used_s + line.elapsed_s
        self._lines.append(NewLine(elapsed_s, line.level, line.message, truncated=line.truncated))

    def say(self, message: str, *, elapsed_s: float) -> None:
        """Add a line of the worker's own; `elapsed_s` is over all runs."""
        self._lines.append(NewLine(elapsed_s, "info", message, by_worker=True))

    def rest(self) -> list[NewLine]:
        """The lines that are not stored."""
        return list(self._lines)

    def close(self) -> None:
        """Let `run` end after what it is storing, without waiting for more."""
        self._closing.set()

    async def run(self) -> None:
        """Store until closed; errors of `store` pass."""
        while not await self._closed_within(LOG_EVERY_S):
            if self._lines:
                batch = list(self._lines)
                self._after = await self._store(batch, self._after)
                del self._lines[: len(batch)]

    async def _closed_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True


def said_at_start(claim: Claim, request: SolveRequest) -> str:
    """What the log says when a run begins."""
    threads = "1 thread" if request.threads == 1 else f"{request.threads} threads"
    start = "" if request.start is None else ", from the best solution so far"
    return (
        f"Attempt {claim.attempt}: {claim.solver} {claim.version}, "
        f"{len(request.instance)} bytes of input, {request.time_limit_s:.3g} s, {threads}{start}"
    )


def said_at_end(report: SolveReport, *, interrupted: bool) -> str:
    """What the log says when the solver has ended by itself or was asked to."""
    if interrupted:
        return "Interrupted: this worker stops. The job goes back to the queue."
    cost = "" if report.cost is None else f", cost {report.cost}"
    bound = "" if report.lower_bound is None else f", lower bound {report.lower_bound}"
    reason = report.stop_reason.replace("_", " ")
    return f"End: {report.solution_status}{cost}{bound}; why it stopped: {reason}"

"""A runner whose children know the misbehaving solvers of tests/plugins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from optimized_tsp.solvers.process import (
    ChildLimits,
    LogLine,
    Progress,
    SolveReport,
    SolveRequest,
    SolverProcess,
)
from tests.promises import overdue

PLUGINS = Path(__file__).parents[2] / "plugins"


@dataclass
class Attempt:
    """One solve by a misbehaving solver, and what was seen of it."""

    runner: SolverProcess
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Progress] = field(default_factory=list)
    said: list[LogLine] = field(default_factory=list)
    on_progress: Callable[[Progress], object] | None = None

    async def solve(
        self,
        behaviour: str,
        *,
        size: int = 3,
        time_limit_s: float = 30.0,
        instance: bytes | None = None,
        start: dict[str, Any] | None = None,
        gate: Path | None = None,
    ) -> SolveReport:
        request = SolveRequest(
            solver="odd",
            version="v1",
            instance=instance or b'{"size": %d}' % size,
            time_limit_s=time_limit_s,
            parameters={"behaviour": behaviour, "gate": str(gate) if gate else None},
            start=start,
        )
        return await self.runner.solve(
            request, stop=self.stop, on_progress=self._note, on_log=self.said.append
        )

    def stop_at_first_progress(self) -> None:
        self.on_progress = lambda _: self.stop.set()

    def _note(self, progress: Progress) -> None:
        self.seen.append(progress)
        if self.on_progress is not None:
            self.on_progress(progress)


async def until(condition: Callable[[], object], within_s: float = 30.0) -> None:
    """Wait for the condition; fail if it does not come true in time."""
    begun = time.monotonic()
    while not condition():
        assert not overdue(begun, within_s)
        await asyncio.sleep(0.005)


def gone(process: psutil.Process) -> bool:
    """Whether the process ended; one that nobody reaped yet counts."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(autouse=True)
def odd_solvers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGINS))


@pytest.fixture
def limits() -> ChildLimits:
    return ChildLimits(max_solves=5, max_growth_bytes=100 * 2**20)


@pytest.fixture
async def runner(limits: ChildLimits) -> AsyncIterator[SolverProcess]:
    async with SolverProcess(preload=False, limits=limits) as process:
        await process.ready()
        yield process


@pytest.fixture
def attempt(runner: SolverProcess) -> Attempt:
    return Attempt(runner)


@pytest.fixture
def another(runner: SolverProcess) -> Callable[[], Attempt]:
    """A further attempt on the same runner."""
    return lambda: Attempt(runner)

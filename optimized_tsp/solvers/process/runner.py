"""Runs one solve at a time in a child process kept warm, and always holds the best solution.

The promises (times in wall time):

- a cancelled solve returns within a second, with the best solution so far;
- a solve whose time is up returns within half a second after that, likewise;
- a child that crashes raises `SolverCrashed`, a solver that errs `SolverFault`; nothing hangs;
- when this process is killed, its children end too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.solvers.process.launcher import Child, ChildLauncher, describe_exit
from optimized_tsp.solvers.process.messages import (
    Kind,
    LogLine,
    Progress,
    SolverCrashed,
    SolveReport,
    SolveRequest,
    SolverFault,
    as_json,
)

__all__ = ["ChildLimits", "SolverProcess"]

_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """When a child is killed, and when one that did well is replaced nevertheless.

    `stop_grace_s`: from asking to stop until the kill. `overrun_grace_s`: the same when the time is
    up. `max_solves` and `max_growth_bytes` (of resident memory) bound what leaks can do.
    """

    stop_grace_s: float = 0.6
    overrun_grace_s: float = 0.4
    max_solves: int = 100
    max_growth_bytes: int = 256 * _MEBIBYTE


class SolverProcess:
    """A warm solver child and its successors; use it as an async context manager.

    One solve at a time. All methods belong to one event loop. Without `preload` a child imports
    its engines (OR-Tools) when it first needs them, which takes it a second.
    """

    def __init__(self, *, preload: bool = True, limits: ChildLimits | None = None) -> None:
        self._launcher = ChildLauncher(preload=preload)
        self._limits = limits or ChildLimits()
        self._warm: asyncio.Task[Child] | None = None
        self._busy = False

    async def __aenter__(self) -> Self:
        self._begin_warming()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def ready(self) -> None:
        """Wait until a child is warm; raise `SolverCrashed` if none can be started."""
        await self._warm_child()

    @property
    def is_warm(self) -> bool:
        """Whether a solve could begin at once."""
        warm = self._warm
        if warm is None or not warm.done() or warm.cancelled() or warm.exception() is not None:
            return False
        return not warm.result().channel.is_closed_by_peer()

    async def solve(
        self,
        request: SolveRequest,
        *,
        stop: asyncio.Event,
        on_progress: Callable[[Progress], None],
        on_log: Callable[[LogLine], None] = lambda _: None,
    ) -> SolveReport:
        """Solve, reporting every better solution or bound, until done, stopped or out of time.

        The time limit counts from the moment a child is warm. Cancelling the calling task kills the
        child. Raises `SolverCrashed` and `SolverFault`, both with the best progress until then.
        """
        if self._busy:
            raise RuntimeError("this SolverProcess is solving already")
        self._busy = True
        try:
            child = await self._warm_child()
            solve = _Solve(child, request, self._limits, on_progress, on_log)
            try:
                report = await solve.run(stop)
            except EOFError as error:
                raise SolverCrashed(await self._autopsy(child), solve.best) from error
            except BaseException:
                self._replace(child)
                raise
            if not solve.ended_cleanly or self._is_worn(child, solve.left_behind):
                self._replace(child)
            return report
        finally:
            self._busy = False

    async def close(self) -> None:
        """Kill the child, if any, and end everything this object started."""
        await self._launcher.close()
        if self._warm is not None:
            await asyncio.wait([self._warm])
            # Whoever wanted a child that could not be started has heard of it.
            if not self._warm.cancelled() and self._warm.exception() is None:
                self._warm.result().channel.close()
            self._warm = None

    def _begin_warming(self) -> asyncio.Task[Child]:
        self._warm = asyncio.create_task(self._launcher.fork())
        return self._warm

    async def _warm_child(self) -> Child:
        try:
            child = await asyncio.shield(self._warm or self._begin_warming())
            if child.channel.is_closed_by_peer():  # it died while idle
                child = await asyncio.shield(self._replace(child))
        except Exception:
            self._warm = None  # the next one asks anew
            raise
        return child

    async def _autopsy(self, child: Child) -> str:
        """Why a child is dead, for people; a new one is on its way after that."""
        try:
            return f"the solver crashed: {describe_exit(await self._launcher.discard(child))}"
        except SolverCrashed as error:  # the fork server died and took the child with it
            return error.reason
        finally:
            self._begin_warming()

    def _replace(self, child: Child) -> asyncio.Task[Child]:
        self._warm = asyncio.create_task(self._launcher.replace(child))
        return self._warm

    def _is_worn(self, child: Child, left_behind: Mapping[str, int]) -> bool:
        child.solves += 1
        growth = left_behind["rss_bytes"] - child.rss_bytes
        return (
            child.solves >= self._limits.max_solves
            or growth > self._limits.max_growth_bytes
            or left_behind["threads"] > child.threads  # which may still be busy
        )


class _Solve:
    """One solve on one child."""

    def __init__(
        self,
        child: Child,
        request: SolveRequest,
        limits: ChildLimits,
        on_progress: Callable[[Progress], None],
        on_log: Callable[[LogLine], None],
    ) -> None:
        self._channel = child.channel
        self._request = request
        self._limits = limits
        self._on_progress = on_progress
        self._on_log = on_log
        self._started_at = time.monotonic()
        self._asked_to_stop: StopReason | None = None
        self._over = False
        self.best: Progress | None = None
        self.ended_cleanly = False
        self.left_behind: Mapping[str, int] = {}

    async def run(self, stop: asyncio.Event) -> SolveReport:
        """The child's report, or one made of what it sent when it had to be killed.

        Raises `EOFError` when the child is gone.
        """
        sending = asyncio.create_task(self._send_request(self._header()))
        asking: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(None) as kill:
                asking = asyncio.create_task(self._ask_to_stop(stop, kill, sending))
                report = await self._receive_report()
        except TimeoutError:
            if not kill.expired():
                raise
            return self._report_on_kill()
        except (EOFError, ConnectionError) as error:
            if self._asked_to_stop is None:
                raise EOFError from error
            return self._report_on_kill()
        finally:
            self._over = True
            sending.cancel()
            if asking is not None:
                asking.cancel()
        # A child that was asked to stop may still hold threads that did not hear of it.
        self.ended_cleanly = self._asked_to_stop is None
        return report

    def _header(self) -> bytes:
        request = self._request
        return as_json(
            {
                "solver": request.solver,
                "version": request.version,
                "parameters": dict(request.parameters),
                "start": request.start,
                "threads": request.threads,
                "started_at": self._started_at,
                "deadline": self._started_at + request.time_limit_s,
            }
        )

    async def _send_request(self, header: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # which the receiver sees as well
            await self._channel.send(Kind.SOLVE, header)
            await self._channel.send(Kind.INSTANCE, self._request.instance)

    async def _ask_to_stop(
        self, stop: asyncio.Event, kill: asyncio.Timeout, sending: asyncio.Task[None]
    ) -> None:
        """Ask when it is time to, and set the time of the kill that follows if that is ignored."""
        try:
            await asyncio.wait_for(stop.wait(), self._request.time_limit_s)
            reason, grace_s = StopReason.CANCELLED, self._limits.stop_grace_s
        except TimeoutError:
            reason, grace_s = StopReason.TIME_LIMIT, self._limits.overrun_grace_s
        if self._over:  # at this very moment
            return
        self._asked_to_stop = reason
        kill.reschedule(asyncio.get_running_loop().time() + grace_s)
        await sending
        with contextlib.suppress(ConnectionError):
            await self._channel.send(Kind.STOP)

    async def _receive_report(self) -> SolveReport:
        while True:
            kind, data = await self._channel.receive()
            match kind:
                case Kind.PROGRESS:
                    self._note_progress(data)
                case Kind.LOG:
                    self._on_log(LogLine(**data))
                case Kind.OUTCOME:
                    return self._report(data)
                case Kind.FAULT:
                    raise SolverFault(data["message"], data["details"], self.best)

    def _note_progress(self, data: dict[str, Any]) -> None:
        if data["solution"] is None and self.best is not None:
            data["solution"] = self.best.solution
        self.best = Progress(**data)
        self._on_progress(self.best)

    def _report(self, data: dict[str, Any]) -> SolveReport:
        self.left_behind = data.pop("left_behind")
        reason = StopReason(data["stop_reason"])
        if reason is StopReason.CANCELLED and self._asked_to_stop is not None:
            reason = self._asked_to_stop  # the child cannot tell who asked, and why
        return SolveReport(
            **data
            | {
                "solution_status": SolutionStatus(data["solution_status"]),
                "stop_reason": reason,
                "warnings": tuple(data["warnings"]),
            }
        )

    def _report_on_kill(self) -> SolveReport:
        best = self.best
        has_solution = best is not None and best.solution is not None
        proven = has_solution and best is not None and best.cost == best.lower_bound
        status = SolutionStatus.FEASIBLE if has_solution else SolutionStatus.UNKNOWN
        return SolveReport(
            solution_status=SolutionStatus.OPTIMAL if proven else status,
            stop_reason=self._asked_to_stop or StopReason.TIME_LIMIT,
            elapsed_s=time.monotonic() - self._started_at,
            solution=best.solution if best else None,
            cost=best.cost if best else None,
            lower_bound=best.lower_bound if best else None,
            warnings=("The solver did not end in good order when asked to stop.",),
        )

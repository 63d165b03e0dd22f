"""One run of one job: from its claim to the transaction that ends the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar
from uuid import UUID

import structlog

from optimized_tsp.core.config import Settings
from optimized_tsp.core.context import Origin, coming_from
from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.insist import insist
from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.totals import Tally
from optimized_tsp.core.tracing import Span, SpanKind, Tracing
from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs import leases, logs, outcomes
from optimized_tsp.jobs.answers import Answer, finish, finish_and_claim
from optimized_tsp.jobs.leases import Claim, Claimant, LeaseLost
from optimized_tsp.jobs.logs import NewLine
from optimized_tsp.jobs.metrics import count_crash
from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.solvers.process import (
    SolverCrashed,
    SolveReport,
    SolveRequest,
    SolverFault,
    SolverProcess,
)
from optimized_tsp.worker.log_writer import LogWriter, said_at_end, said_at_start
from optimized_tsp.worker.progress import ProgressWriter

__all__ = ["JobRun", "Means"]

logger = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0
# Until a run gives a sign of life it counts as not begun; small ones are over before that.
_SIGN_OF_LIFE_S = 0.1
_LEAST_TIME_S = 0.05
# Small problems are solved so soon that their beginning is told of together with their end.
_END_MAY_COME_S = 0.01
DEFECT = "An internal error; it was logged."

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker solves with."""

    settings: Settings
    database: Database
    bus: Bus
    solver: SolverProcess
    tally: Tally
    tracing: Tracing


class JobRun:
    """Solves a claimed job, keeps its lease, obeys a cancel, stores progress and the end.

    When the fence is lost, the solver is killed and nothing more is written: the job is somebody
    else's. `shutdown` asks for a checkpoint and for giving the job back. `going_on` says whether
    the next job is to be claimed in the transaction that stores this one's answer, and for whom.
    """

    def __init__(
        self,
        claim: Claim,
        means: Means,
        shutdown: asyncio.Event,
        going_on: Callable[[], Claimant | None],
    ) -> None:
        self._claim = claim
        self._means = means
        self._shutdown = shutdown
        self._going_on = going_on
        self._next: Claim | None = None
        self._untouched = True
        self._stop = asyncio.Event()
        self._look = asyncio.Event()
        self._closing = False
        self._first: Progress | None = None
        self._said = LogWriter(self._store_lines, used_s=claim.used_s, after=claim.log_lines)
        self._log = logger

    @property
    def job_id(self) -> UUID:
        return self._claim.job_id

    @property
    def facts(self) -> dict[str, str | int]:
        """What log lines about it name."""
        claim = self._claim
        by_request = {} if claim.request_id is None else {"request_id": claim.request_id}
        return {
            "job": str(claim.job_id),
            "solver": claim.solver,
            "version": claim.version,
            "attempt": claim.attempt,
            **by_request,
        }

    def look_for_cancel(self) -> None:
        """Somebody may have asked to cancel: look now instead of within a second."""
        self._look.set()

    async def run(self) -> Claim | None:
        """Run to the end of the run; returns the next job, if one was taken with that.

        What cannot even be stored as a failure is raised.
        """
        claim = self._claim
        origin = Origin(claim.request_id, claim.traceparent)
        name = f"solve {claim.solver} {claim.version}"
        parent = claim.traceparent
        with (
            coming_from(origin, **self.facts),
            self._means.tracing.span(name, kind=SpanKind.CONSUMER, parent=parent) as span,
        ):
            span.set(**self.facts)
            await self._run(span)
        return self._next

    async def _run(self, span: Span) -> None:
        begun = asyncio.get_running_loop().call_later(
            _END_MAY_COME_S, self._means.bus.announce, self.job_id
        )
        try:
            async with asyncio.TaskGroup() as beside:
                tending = beside.create_task(self._tend())
                leaving = beside.create_task(self._leave_on_shutdown())
                await self._solve()
                tending.cancel()
                leaving.cancel()
        except* LeaseLost:
            self._log.warning("lease_lost", effect="the solver was stopped, nothing was written")
        except* Exception as defects:  # noqa: BLE001 - a job must not stay Running for ever
            self._log.error("job_defect", exc_info=defects)
            span.fail(defects)
            await self._end_after_defect()
        finally:
            begun.cancel()
        self._means.bus.announce(self.job_id)

    async def _tend(self) -> None:
        """Keep the lease and look for a cancel, at least every second; raises `LeaseLost`."""
        every_s = self._means.settings.lease_s / 3
        pause_s, renewed_at, failed = min(_SIGN_OF_LIFE_S, every_s), -inf, False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._look.wait()
            self._look.clear()
            pause_s = min(_LOOK_EVERY_S, every_s)
            try:
                if time.monotonic() - renewed_at >= every_s:
                    await self._renew()
                    renewed_at = time.monotonic()
                await self._stop_if_cancelled()
                failed = False
            except LeaseLost:
                if not self._closing:
                    raise
                return  # the write that ends the run was seen; if it was lost, that write says so
            except Exception as error:
                if not is_outage(error):
                    raise
                self._log.warning("database_unavailable", effect="solving on", error=repr(error))
                if not failed:  # on another connection it may go at once
                    pause_s = min(_SIGN_OF_LIFE_S, every_s)
                failed = True

    async def _renew(self) -> None:
        async with self._means.database.write() as session:
            await leases.renew(session, self._claim, lease_s=self._means.settings.lease_s)

    async def _stop_if_cancelled(self) -> None:
        async with self._means.database.read() as session:
            if await leases.stop_requested(session, self._claim):
                self._stop.set()

    async def _leave_on_shutdown(self) -> None:
        await self._shutdown.wait()
        self._stop.set()

    async def _solve(self) -> None:
        ending = await self._run_solver()
        self._closing = True
        match ending:
            case SolverFault() as fault:
                self._log.error("solver_fault", error=fault.message, details=fault.details)
                await self._store_best(fault)
                await self._fail(fault.message)
            case SolverCrashed() as crash:
                count_crash(self._means.tally, self._claim.solver, self._claim.version)
                await self._end_after_crash(crash)
            case report if self._is_interrupted(report):
                await self._checkpoint_and_give_back(report)
            case report:
                await self._finish(report)

    async def _run_solver(self) -> SolveReport | SolverFault | SolverCrashed:
        instance = self._claim.instance
        if instance is None:
            instance = await insist(self._load_instance, "load the instance")
        request = self._request(instance)
        writer = ProgressWriter(self._store, used_s=self._used_s())
        self._said.used_s = self._used_s()
        self._said.say(said_at_start(self._claim, request), elapsed_s=self._used_s())
        async with asyncio.TaskGroup() as beside:
            beside.create_task(writer.run())
            beside.create_task(self._said.run())
            try:
                report = await self._means.solver.solve(
                    request, stop=self._stop, on_progress=writer.note, on_log=self._said.note
                )
            except (SolverCrashed, SolverFault) as ending:
                return ending
            finally:
                writer.close()
                self._said.close()
        self._first = writer.unstored_first()
        said = said_at_end(report, interrupted=self._is_interrupted(report))
        self._said.say(said, elapsed_s=self._used_s())
        return report

    async def _load_instance(self) -> bytes:
        async with self._means.database.read() as session:
            return await leases.instance_payload(session, self._claim)

    def _request(self, instance: bytes) -> SolveRequest:
        claim, most = self._claim, self._means.settings.solver_threads
        left_s = claim.remaining_s - (time.monotonic() - claim.heard_at)
        return SolveRequest(
            solver=claim.solver,
            version=claim.version,
            instance=instance,
            time_limit_s=max(_LEAST_TIME_S, left_s),
            threads=min(claim.parameters.get("threads") or most, most),
            parameters=claim.parameters,
            start=claim.start,
        )

    def _used_s(self) -> float:
        """Solving time of the job until now, over all its runs."""
        return self._claim.used_s + time.monotonic() - self._claim.heard_at

    async def _store(self, progress: Progress) -> bool:
        stored = await self._insist(
            lambda s: outcomes.save_progress(s, self._claim, progress), "store progress"
        )
        if stored:
            self._means.bus.announce(self.job_id)
        return stored

    async def _store_lines(self, lines: Sequence[NewLine], after: int) -> int:
        last = await self._insist(
            lambda s: logs.append_lines(s, self._claim, lines, after=after), "store the log"
        )
        self._means.bus.announce(self.job_id)
        return last

    def _is_interrupted(self, report: SolveReport) -> bool:
        """Whether it was the shutdown, and nothing else, that ended the solve."""
        return (
            self._shutdown.is_set()
            and report.stop_reason is StopReason.CANCELLED
            and report.solution_status in {SolutionStatus.FEASIBLE, SolutionStatus.UNKNOWN}
        )

    async def _finish(self, report: SolveReport) -> None:
        answer = Answer(
            solution_status=report.solution_status,
            stop_reason=report.stop_reason,
            solution=report.solution,
            lower_bound=report.lower_bound,
            infeasibility=report.infeasibility,
            statistics=_statistics(report),
            elapsed_s=self._used_s(),
        )
        status = await self._end(answer)
        self._log.info("job_ended", status=status, cost=report.cost, gap=report.gap)

    async def _end(self, answer: Answer) -> JobStatus:
        """End the job in one round trip, if nothing stands against it, and take the next."""
        said = self._said.rest()
        if self._untouched:
            try:
                ended = await finish_and_claim(
                    self._means.database,
                    self._claim,
                    answer,
                    first=self._first,
                    log=said,
                    claimant=self._going_on(),
                )
            except Exception as error:  # noqa: BLE001 - logged, and tried the other way
                # The other way tries again, and raises what is wrong with the end itself.
                if is_outage(error):
                    self._log.warning("end_repeated", error=repr(error))
                else:
                    self._log.exception("end_repeated")
            else:
                if ended is not None:
                    self._next = ended.following
                    return ended.status
        return await self._insist(
            lambda s: finish(s, self._claim, answer, first=self._first, log=said),
            "store the answer",
        )

    async def _store_best(self, ending: SolverCrashed | SolverFault) -> None:
        """Store what was checked, and held back, before the solver came to grief."""
        best = ending.best
        if best is not None:
            await self._store(Progress(best.solution, best.lower_bound, self._used_s()))

    async def _end_after_crash(self, crash: SolverCrashed) -> None:
        await self._store_best(crash)
        status = await self._insist(
            lambda s: outcomes.record_crash(
                s,
                self._claim,
                reason=crash.reason,
                elapsed_s=self._used_s(),
                log=self._said.rest(),
            ),
            "record a crash",
        )
        self._log.error("solver_crashed", reason=crash.reason, status=status)

    async def _checkpoint_and_give_back(self, report: SolveReport) -> None:
        if report.solution is not None or report.lower_bound is not None:
            await self._store(Progress(report.solution, report.lower_bound, self._used_s()))
        await self._insist(
            lambda s: outcomes.give_back(s, self._claim, log=self._said.rest()),
            "give the job back",
        )
        self._means.bus.ring()
        self._log.info("job_given_back", cost=report.cost)

    async def _end_after_defect(self) -> None:
        try:
            await self._fail(DEFECT)
        except LeaseLost:
            self._log.warning("lease_lost", effect="the failure was not written")

    async def _fail(self, error: str) -> None:
        await self._insist(
            lambda s: outcomes.fail(
                s,
                self._claim,
                error=error,
                elapsed_s=self._used_s(),
                log=self._said.rest(),
            ),
            "store a failure",
        )

    async def _insist(
        self, work: Callable[[WriteSession], Awaitable[ResultT]], what: str
    ) -> ResultT:
        return await insist(lambda: self._write(work), what)

    async def _write(self, work: Callable[[WriteSession], Awaitable[ResultT]]) -> ResultT:
        self._untouched = False
        async with self._means.database.write() as session:
            return await work(session)


def _statistics(report: SolveReport) -> dict[str, Any]:
    if not report.warnings:
        return report.statistics
    return {**report.statistics, "warnings": list(report.warnings)}

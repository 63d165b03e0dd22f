"""Takes waiting jobs one after the other, for as long as there are any."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog

from optimized_tsp.core.outages import is_outage
from optimized_tsp.jobs.leases import Claim, Claimant, claim_next
from optimized_tsp.solvers.process import SolverCrashed
from optimized_tsp.worker.run import JobRun, Means

__all__ = ["JobRunner"]

logger = structlog.get_logger(__name__)

# A broken installation is not tried with every ring.
_NO_SOLVER_PAUSE_S = 2.0


class JobRunner:
    """What a ring sets off. Holds the one job that this worker runs, if any."""

    def __init__(self, name: str, means: Means, shutdown: asyncio.Event) -> None:
        self._name = name
        self._means = means
        self._shutdown = shutdown
        self._run: JobRun | None = None
        self._draining: asyncio.Task[None] | None = None

    async def drain(self) -> None:
        """Claim and run jobs until none waits or the worker shuts down.

        Where something is missing (a solver process, the database) it ends, and the reconciler
        rings again while jobs wait.
        """
        self._draining = asyncio.current_task()
        try:
            following: Claim | None = None
            while (claim := following or await self._claim()) is not None:
                self._run = JobRun(claim, self._means, self._shutdown, self._going_on)
                following = await self._run.run()
        finally:
            self._run = self._draining = None

    def abandon(self) -> None:
        """Drop a job that cannot be given back in time (no database): its lease will run out."""
        if self._run is not None:
            logger.warning(
                "job_abandoned",
                effect="another worker takes it when its lease has run out",
                **self._run.facts,
            )
        if self._draining is not None:
            self._draining.cancel()

    def look_for_cancel(self, job_id: UUID | None) -> None:
        """Somebody asked to cancel this job, or (None) any: nothing happens if it is not ours.

        Without Redis a run still looks into its row every second.
        """
        if self._run is not None and job_id in {None, self._run.job_id}:
            self._run.look_for_cancel()

    async def _claim(self) -> Claim | None:
        try:
            # Before the claim: no job waits for a process to start, or pays for one that cannot.
            await self._means.solver.ready()
            if self._shutdown.is_set():
                return None
            return await claim_next(
                self._means.database, worker=self._name, lease_s=self._means.settings.lease_s
            )
        except SolverCrashed as error:
            logger.error("no_solver_process", error=error.reason)  # noqa: TRY400 - known reason
            with suppress(TimeoutError):
                await asyncio.wait_for(self._shutdown.wait(), _NO_SOLVER_PAUSE_S)
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("database_unavailable", effect="not taking jobs", error=repr(error))
        return None

    def _going_on(self) -> Claimant | None:
        """Who takes the next job together with the end of this one, if it could begin at once."""
        if self._shutdown.is_set() or not self._means.solver.is_warm:
            return None
        return Claimant(self._name, self._means.settings.lease_s)

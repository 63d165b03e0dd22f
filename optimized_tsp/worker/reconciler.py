"""Sets right what a lost ring or a lost worker left behind; every worker does it, none has to."""

from __future__ import annotations

import asyncio
import random
import time

import structlog

from optimized_tsp.core.context import Origin, coming_from
from optimized_tsp.core.database import Database
from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.totals import Tally
from optimized_tsp.jobs.leases import oldest_wait_s
from optimized_tsp.jobs.metrics import count_rescue
from optimized_tsp.jobs.outcomes import rescue_expired
from optimized_tsp.worker.run import Means

__all__ = ["Reconciler", "write_what_is_left"]

logger = structlog.get_logger(__name__)

_ROUNDS_PER_LEASE = 5
_LONGEST_ROUND_S = 3.0
_WRITE_EVERY_S = 10.0


class Reconciler:
    """Every few seconds: rescues jobs whose lease ran out, rings for jobs that wait too long."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._round_s = min(_LONGEST_ROUND_S, means.settings.lease_s / _ROUNDS_PER_LEASE)
        self._rescue_from = self._write_from = time.monotonic()

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                if time.monotonic() >= self._rescue_from:
                    await self._rescue()
                await self._ring_for_waiting()
                await self._write_counts()
            except Exception as error:
                if not is_outage(error):
                    raise
                logger.warning("database_unavailable", effect="not reconciling", error=repr(error))
                # Nobody could renew meanwhile: first give those who are alive the time to do so.
                self._rescue_from = time.monotonic() + self._means.settings.lease_s / 2
            # Workers started together spread out by this.
            await asyncio.sleep(self._round_s * random.uniform(0.8, 1.2))  # noqa: S311

    async def _rescue(self) -> None:
        async with self._means.database.write() as session:
            rescued = await rescue_expired(session)
        for job_id, status, request_id in rescued:
            with coming_from(Origin(request_id), job=str(job_id)):
                logger.warning("job_rescued", status=status)
            count_rescue(self._means.tally, status)
            self._means.bus.announce(job_id, ring=True)

    async def _write_counts(self) -> None:
        if time.monotonic() >= self._write_from:
            self._write_from = time.monotonic() + _WRITE_EVERY_S
            await self._means.tally.write(self._means.database)

    async def _ring_for_waiting(self) -> None:
        async with self._means.database.read() as session:
            waited_s = await oldest_wait_s(session)
        if waited_s is not None and waited_s > self._round_s:
            self._means.bus.ring()


async def write_what_is_left(tally: Tally, database: Database) -> None:
    """Write down at the end what was counted since; while the database is away that is lost."""
    try:
        await tally.write(database)
    except Exception as error:
        if not is_outage(error):
            raise
        logger.warning("database_unavailable", effect="some counts are lost", error=repr(error))

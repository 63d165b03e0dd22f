"""Watches leases from outside: how long each run kept silent, as the database saw it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from sqlalchemy import text

from optimized_tsp.core.database import Database

__all__ = ["Heartbeats"]

_LOOK_EVERY_S = 0.25
_LEASES = text("SELECT id, fence, lease_until FROM jobs WHERE status = 'Running'")
_ENDS = text("SELECT id, fence, completed_at FROM jobs WHERE completed_at IS NOT NULL")


class Heartbeats:
    """Sees every lease that is there for longer than a moment.

    A lease that ends at t was written `lease_s` before t, by the database's clock: so the times of
    claims and renewals are exact, however late this process gets to look.
    """

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease_s)
        self._beats: dict[tuple[UUID, int], list[datetime]] = {}

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            async with self._database.read() as session:
                leases = (await session.execute(_LEASES)).all()
            for job_id, fence, lease_until in leases:
                beats = self._beats.setdefault((job_id, fence), [])
                beat = lease_until - self._lease
                if beats[-1:] != [beat]:
                    beats.append(beat)
            await asyncio.sleep(_LOOK_EVERY_S)

    @property
    def renewals(self) -> int:
        """Renewals that were seen."""
        return sum(len(beats) - 1 for beats in self._beats.values())

    async def silences(self) -> list[float]:
        """Seconds from each claim and renewal to the next one, or to the end of the run."""
        async with self._database.read() as session:
            ends = {(row.id, row.fence): row.completed_at for row in await session.execute(_ENDS)}
        seconds = []
        for run, beats in self._beats.items():
            moments = [*beats, *([ends[run]] if run in ends else [])]
            seconds += [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
        return seconds

"""What the kernel does when memory runs out: kill -9 of the process that has most of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psutil

from tests.faults.cluster import Cluster

_EATEN_BYTES = 400 * 2**20
_LOOK_EVERY_S = 0.25


class MemoryGuard:
    """Kills every solver of a cluster that has eaten more than any of ours needs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.killed: set[psutil.Process] = set()

    async def watch(self) -> None:
        """Look, and kill, until cancelled."""
        while True:
            for solver in await asyncio.to_thread(self._cluster.solver_children):
                with suppress(psutil.NoSuchProcess):
                    if solver.memory_info().rss > _EATEN_BYTES:
                        solver.kill()
                        self.killed.add(solver)
            await asyncio.sleep(_LOOK_EVERY_S)

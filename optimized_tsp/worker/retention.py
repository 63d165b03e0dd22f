"""Forgets what is old enough, a little at a time, as the settings say."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Never

import structlog

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.outages import is_outage
from optimized_tsp.events.log import prune_events
from optimized_tsp.jobs.idempotency import KEPT, prune_keys
from optimized_tsp.jobs.metrics import fold_events
from optimized_tsp.jobs.retention import (
    prune_endpoints,
    prune_instances,
    prune_logs,
    prune_solutions,
)
from optimized_tsp.webhooks.backlog import prune_deliveries

__all__ = ["AT_ONCE", "keep_pruning", "prune"]

logger = structlog.get_logger(__name__)

AT_ONCE = 1000
"""Rows one transaction removes, so that it holds no lock for long."""
_LONGEST_S = 60.0
_EVERY_S = 600.0
_AFTER_OUTAGE_S = 30.0

Step = Callable[[WriteSession], Awaitable[int]]


async def keep_pruning(database: Database, settings: Settings) -> Never:
    """Prune every ten minutes, until cancelled. Every worker does so, none has to."""
    while True:
        pause_s = _EVERY_S
        try:
            await prune(database, settings)
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("database_unavailable", effect="not pruning", error=repr(error))
            pause_s = _AFTER_OUTAGE_S
        await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311


async def prune(database: Database, settings: Settings) -> None:
    """Remove what the settings do not keep; what is left after a minute waits for the next time.

    Everything has its turn, so that very much of one thing makes no other wait for later rounds.
    """
    await fold_events(database)  # an event that was not counted would never be
    until = time.monotonic() + _LONGEST_S
    removed: Counter[str] = Counter()
    left = _steps(settings)
    while left:
        for what, step in list(left.items()):
            async with database.write() as session:
                now_removed = await step(session)
            removed[what] += now_removed
            if now_removed == 0:
                del left[what]
        if time.monotonic() >= until:
            break
    for what, count in removed.items():
        if count:
            logger.info("pruned", what=what, removed=count)


def _steps(settings: Settings) -> dict[str, Step]:
    """What is to be removed, and how; nothing where it is kept for ever."""
    events = timedelta(days=settings.keep_events_days)
    logs = timedelta(days=settings.keep_logs_days)
    payloads = timedelta(days=settings.keep_payloads_days)
    deliveries = timedelta(days=settings.keep_deliveries_days)
    all_steps: dict[str, tuple[timedelta, Step]] = {
        "keys": (KEPT, lambda s: prune_keys(s, limit=AT_ONCE)),
        "events": (events, lambda s: prune_events(s, keep=events)),
        "logs": (logs, lambda s: prune_logs(s, keep=logs, limit=AT_ONCE)),
        "solutions": (payloads, lambda s: prune_solutions(s, keep=payloads, limit=AT_ONCE)),
        "instances": (payloads, lambda s: prune_instances(s, keep=payloads, limit=AT_ONCE)),
        "deliveries": (deliveries, lambda s: prune_deliveries(s, keep=deliveries, limit=AT_ONCE)),
        "endpoints": (deliveries, lambda s: prune_endpoints(s, keep=deliveries, limit=AT_ONCE)),
    }
    return {what: step for what, (keep, step) in all_steps.items() if keep > timedelta(0)}

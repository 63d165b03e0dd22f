"""Doing database work until it succeeds: a solve is worth more than an uninterrupted Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from optimized_tsp.core.outages import is_outage

__all__ = ["insist"]

logger = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

ResultT = TypeVar("ResultT")


async def insist(work: Callable[[], Awaitable[ResultT]], what: str) -> ResultT:
    """Repeat `work` for as long as the database is away; other errors pass, so does `LeaseLost`.

    `work` must be safe to repeat: after a connection broke nobody knows whether it was committed.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await work()
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("database_unavailable", trying_to=what, error=repr(error))
        await asyncio.sleep(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

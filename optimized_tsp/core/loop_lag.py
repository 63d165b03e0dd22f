"""How late an event loop is: the first thing to suffer when something blocks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Never

__all__ = ["LAG_BUCKETS", "watch_loop"]

LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_EVERY_S = 1.0


async def watch_loop(observe: Callable[[float], None]) -> Never:
    """Tell, every second, how many seconds later than asked for the loop woke us up."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        observe(max(0.0, loop.time() - due))

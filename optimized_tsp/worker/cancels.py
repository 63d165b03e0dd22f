"""Hears of cancels at once; without Redis a run still looks into its row every second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from optimized_tsp.events.bus import Bus, Channel

__all__ = ["listen_for_cancels"]

logger = structlog.get_logger(__name__)

_RECONNECT_S = 1.0


async def listen_for_cancels(bus: Bus, on_cancel: Callable[[bytes], None]) -> None:
    """Call `on_cancel` with the bytes of each job id that somebody cancels; never returns."""
    while True:
        try:
            async with bus.subscription(Channel.CONTROL) as subscription:
                async for message in subscription.listen():
                    if message["type"] == "message":
                        on_cancel(message["data"])
        except (RedisError, OSError) as error:
            logger.warning("redis_unreachable", effect="cancels take a second", error=str(error))
        await asyncio.sleep(_RECONNECT_S)

"""Listening to a channel for as long as a process lives, whatever happens to Redis meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Never
from uuid import UUID

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from optimized_tsp.events.bus import Bus, Channel

__all__ = ["listen"]

logger = structlog.get_logger(__name__)

# A connection that says nothing for this long is asked whether it lives, and has as long to answer.
_SILENCE_S = 5.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
_UUID_BYTES = 16


async def listen(bus: Bus, channel: Channel, heard: Callable[[UUID | None], None]) -> Never:
    """Call `heard` with the job of every message, until cancelled.

    `heard(None)` means that messages may have been missed: at the start and after every loss of the
    connection, once it is subscribed again, and again and again while it cannot be. An outage is
    logged once.
    """
    pause_s = _FIRST_PAUSE_S
    down = False
    while True:
        try:
            async with (
                bus.subscription(channel) as pubsub,
                aclosing(_messages(pubsub)) as messages,
            ):
                async for job_id in messages:
                    if down:
                        logger.info("redis_heard_again", channel=channel.value)
                    pause_s, down = _FIRST_PAUSE_S, False
                    heard(job_id)
        except (RedisError, OSError) as error:
            if down:
                heard(None)
            else:
                logger.warning(
                    "redis_not_heard", channel=channel.value, error=str(error), effect="slower"
                )
            down = True
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _messages(pubsub: PubSub) -> AsyncGenerator[UUID | None]:
    asked = False
    while True:
        message: dict[str, Any] | None = await pubsub.get_message(timeout=_SILENCE_S)
        if message is not None:
            asked = False
            if message["type"] == "message":
                for job_id in _job_ids(message["data"]):
                    yield job_id
            elif message["type"] == "subscribe":
                yield None
        elif asked:
            raise ConnectionError(f"no answer within {_SILENCE_S:g} s")
        else:
            await pubsub.ping()
            asked = True


def _job_ids(data: bytes) -> list[UUID | None]:
    """The jobs of a message; of one that is none, that something was said."""
    if not data or len(data) % _UUID_BYTES:
        return [None]
    starts = range(0, len(data), _UUID_BYTES)
    return [UUID(bytes=data[start : start + _UUID_BYTES]) for start in starts]

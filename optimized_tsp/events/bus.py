"""The doorbell: Redis channels and the ring list, named here and nowhere else.

A ring or a publication carries nothing that is needed; losing one costs time, never a job or an
event. So a failure to ring is logged and not raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from time import monotonic
from uuid import UUID

import structlog
from dramatiq import Message
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from optimized_tsp.core.outages import lost_is_said
from optimized_tsp.core.tasks import begin_shared

__all__ = ["DRAIN_ACTOR", "QUEUE", "RING_KEY", "RINGS_KEPT", "Bus", "Channel", "ring_message"]

logger = structlog.get_logger(__name__)

QUEUE = "jobs"
DRAIN_ACTOR = "drain"
RING_KEY = "optimized-tsp:rings"
RINGS_KEPT = 256
"""Each worker that hears a ring works until nothing waits, so a few rings serve any backlog."""

# After a publication the next ones gather for so long: each wakes every process that listens. One
# that comes alone goes at once, and nothing that somebody waits for is held back: rings, cancels.
_GATHER_S = 0.02
# After a failure Redis is left alone this long, so that a dead Redis does not slow every request.
_PAUSE_S = 1.0
_TIMEOUT_S = 0.5
_SUBSCRIBE_TIMEOUT_S = 2.0
# The last is uvloop's, when it writes to a connection lost a moment ago.
_LOSSES = (RedisConnectionError, RedisTimeoutError, RuntimeError)


class Channel(StrEnum):
    """The pub/sub channels; every message is the ids of one or more jobs, 16 bytes each."""

    EVENTS = "optimized-tsp:events"
    """The job has new events."""
    CONTROL = "optimized-tsp:control"
    """Somebody asked to cancel the job."""


def ring_message() -> bytes:
    """A Dramatiq message that asks a worker to look for waiting jobs."""
    return Message(
        queue_name=QUEUE, actor_name=DRAIN_ACTOR, args=(), kwargs={}, options={}
    ).encode()


class Bus:
    """One process's connection to Redis.

    What is to be said while something is being sent, or right after it, goes together with the
    next round: thousands of announcements at once need one connection and one message, not
    thousands.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1, _LOSSES),  # type: ignore[arg-type]  # typed for its own
        )
        self._paused_until = 0.0
        self._gather_until = 0.0
        self._urgent = asyncio.Event()
        self._rings = 0
        # In order, each once.
        self._publications: dict[Channel, dict[UUID, None]] = {channel: {} for channel in Channel}
        self._sending: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Wake a worker, in the background."""
        self._rings += 1
        self._urgent.set()
        self._in_background()

    def announce(self, job_id: UUID, *, ring: bool = False) -> None:
        """Say that a job has new events (and wake a worker), in the background."""
        if ring:
            self._rings += 1
            self._urgent.set()
        self._publications[Channel.EVENTS][job_id] = None
        self._in_background()

    def announce_cancel(self, job_id: UUID) -> None:
        """Tell the worker that runs the job that it should stop, in the background."""
        self._publications[Channel.CONTROL][job_id] = None
        self._urgent.set()
        self._in_background()

    def _in_background(self) -> None:
        if monotonic() < self._paused_until:
            self._take()
        elif self._sending is None or self._sending.done():
            self._sending = begin_shared(self._send())

    def _take(self) -> tuple[int, dict[Channel, bytes]]:
        """How many rings to send, and the message of each channel."""
        rings, messages = min(self._rings, RINGS_KEPT), {}
        self._rings = 0
        for channel, jobs in self._publications.items():
            if jobs:
                messages[channel] = b"".join(job_id.bytes for job_id in jobs)
                jobs.clear()
        return rings, messages

    async def _send(self) -> None:
        while self._rings or any(self._publications.values()):
            await self._gather()
            await self._send_once(*self._take())

    async def _gather(self) -> None:
        """Wait for company, unless the last message is some time ago or something is urgent."""
        wait_s = self._gather_until - monotonic()
        if wait_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._urgent.wait()
        self._urgent.clear()
        self._gather_until = monotonic() + _GATHER_S

    async def _send_once(self, rings: int, messages: dict[Channel, bytes]) -> None:
        try:
            with lost_is_said():
                await self._say(rings, messages)
        except (RedisError, OSError) as error:
            self._paused_until = monotonic() + _PAUSE_S
            self._take()
            logger.warning("redis_unreachable", error=str(error), effect="slower, nothing lost")

    async def _say(self, rings: int, messages: dict[Channel, bytes]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            if rings:
                pipe.lpush(RING_KEY, *[ring_message() for _ in range(rings)])
                pipe.ltrim(RING_KEY, 0, RINGS_KEPT - 1)
            for channel, message in messages.items():
                pipe.publish(channel.value, message)
            await pipe.execute()

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            with lost_is_said():
                return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    @asynccontextmanager
    async def subscription(self, channel: Channel) -> AsyncGenerator[PubSub]:
        """One subscription on its own connection; raises RedisError or OSError when it is lost.

        It does not reconnect by itself: what was missed meanwhile is the reader's business
        (`events.listen` does all of that).
        """
        redis = Redis.from_url(
            self._redis_url,
            socket_timeout=_SUBSCRIBE_TIMEOUT_S,
            socket_connect_timeout=_SUBSCRIBE_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        pubsub = redis.pubsub(ignore_subscribe_messages=False)
        try:
            with lost_is_said():
                await pubsub.subscribe(channel.value)
                yield pubsub
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]
            await redis.aclose()

    async def close(self) -> None:
        """Wait for what is being sent, then disconnect."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=1.0)
        # A Redis that hangs, or is gone, does not see the good-bye: nothing is lost with it, and
        # our caller has more to close.
        with suppress(RedisError, OSError):
            await self._redis.aclose()

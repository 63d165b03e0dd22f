"""A Dramatiq broker on one Redis list, read with a blocking pop.

Dramatiq's own Redis broker polls (up to a second of latency), acknowledges, requeues and repairs.
None of that is wanted here: the lease in Postgres owns a job, a message is only a ring
(docs/decisions/0005-ring-broker.md).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import structlog
from dramatiq import Broker, Message, MessageProxy
from dramatiq.broker import Consumer
from dramatiq.middleware import Middleware
from redis import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from optimized_tsp.events.bus import QUEUE, RING_KEY, RINGS_KEPT, ring_message

__all__ = ["RingBroker"]

logger = structlog.get_logger(__name__)

# How often a worker looks into Postgres by itself while Redis does not answer.
_LOOK_YOURSELF_S = 1.0


class RingBroker(Broker):
    """Rings pushed to and popped from one list; no acknowledgements, no delays, no retries."""

    def __init__(self, redis_url: str, middleware: list[Middleware]) -> None:
        super().__init__(middleware=middleware)
        self._redis_url = redis_url

    def declare_queue(self, queue_name: str) -> None:
        if queue_name != QUEUE:
            raise ValueError(f"this broker serves only the queue {QUEUE!r}, not {queue_name!r}")
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[None], *, delay: int | None = None) -> Message[None]:
        if delay is not None:
            raise ValueError("a ring cannot be delayed")
        with Redis.from_url(self._redis_url) as redis, redis.pipeline(transaction=False) as pipe:
            pipe.lpush(RING_KEY, message.encode())
            pipe.ltrim(RING_KEY, 0, RINGS_KEPT - 1)
            pipe.execute()
        return message

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30000) -> Consumer:
        return RingConsumer(self._redis_url, prefetch=prefetch, timeout_s=timeout / 1000)


class RingConsumer(Consumer):
    """Hands out at most `prefetch` rings at a time; the others stay for idle workers."""

    def __init__(self, redis_url: str, *, prefetch: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._prefetch = prefetch
        self._outstanding = 0
        self._changed = threading.Condition()
        self._redis = Redis.from_url(
            redis_url, socket_connect_timeout=1.0, socket_timeout=timeout_s + 2.0
        )

    def __next__(self) -> MessageProxy | None:
        with self._changed:
            if not self._changed.wait_for(self._has_room, timeout=self._timeout_s):
                return None
        message = self._pop()
        if message is None:
            return None
        with self._changed:
            self._outstanding += 1
        return MessageProxy(message)

    def _has_room(self) -> bool:
        return self._outstanding < self._prefetch

    def _pop(self) -> Message[None] | None:
        try:
            popped = self._redis.brpop([RING_KEY], timeout=self._timeout_s)
        except RedisTimeoutError:
            popped = None
        except (RedisError, OSError) as error:
            logger.warning("redis_unreachable", error=str(error), effect="polling Postgres")
            with self._changed:
                self._changed.wait(_LOOK_YOURSELF_S)
            return Message.decode(ring_message())
        return None if popped is None else Message.decode(ring_message())

    def ack(self, message: MessageProxy) -> None:
        with self._changed:
            self._outstanding -= 1
            self._changed.notify_all()

    def nack(self, message: MessageProxy) -> None:
        self.ack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Pass unanswered rings on, so that another worker need not wait for the reconciler."""
        rings = [message.encode() for message in messages]
        try:
            if rings:
                self._redis.lpush(RING_KEY, *rings)
        except (RedisError, OSError) as error:
            logger.warning("redis_unreachable", error=str(error), effect="rings lost")

    def close(self) -> None:
        self._redis.close()

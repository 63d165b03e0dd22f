"""The named baseline of `make bench-service`: stock Dramatiq on Redis, no database, no solver.

`python -m benchmarks.stock_dramatiq REDIS_URL` runs its worker. The actor does nothing but publish
that it ran, so whatever the service takes longer is the price of keeping jobs.
"""

from __future__ import annotations

import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from redis import Redis

CHANNEL = "benchmark:done"

_redis: list[Redis] = []


@dramatiq.actor
def publish_done(number: int) -> None:
    """Say that message `number` was worked on."""
    _redis[0].publish(CHANNEL, str(number))


def use_broker(redis_url: str) -> None:
    """Bind the actor to stock Dramatiq's broker on this Redis."""
    broker = RedisBroker(url=redis_url, namespace="benchmark")  # type: ignore[no-untyped-call]
    dramatiq.set_broker(broker)
    publish_done.broker = broker
    broker.declare_actor(publish_done)
    _redis[:] = [Redis.from_url(redis_url)]


if __name__ == "__main__":
    use_broker(sys.argv[1])
    worker = dramatiq.Worker(dramatiq.get_broker(), worker_threads=1)
    worker.start()
    sys.stdin.read()  # the benchmark closes it when it has measured
    worker.stop()

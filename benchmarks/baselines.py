"""What `make bench-throughput` is compared with: queues and servers without the service."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from redis import Redis
from redis.client import PubSub

from benchmarks.stock_dramatiq import CHANNEL, publish_done, use_broker
from optimized_tsp.embedded.folder import DataFolder
from optimized_tsp.embedded.servers import EmbeddedServers

__all__ = ["bare_servers", "stock_drain"]

_PATIENCE_S = 600.0


@contextmanager
def bare_servers() -> Iterator[list[psutil.Process]]:
    """Postgres and Valkey as the service starts them, and nobody who uses them."""
    with TemporaryDirectory(prefix="optimized-tsp-bench-") as path, _folder(path) as folder:
        servers = EmbeddedServers(folder)
        try:
            servers.start()
            yield [psutil.Process(process.pid) for process in servers.processes]
        finally:
            servers.stop()


def _folder(path: str) -> DataFolder:
    Path(path).chmod(0o711)  # the servers' own user has to pass through
    return DataFolder(Path(path) / "data")


def stock_drain(redis_url: str, messages: int, *, workers: int) -> float:
    """Messages a second that stock Dramatiq takes from Redis and an actor that does nothing but
    publish a number works on; nothing is stored. The workers sleep while the messages are sent."""
    use_broker(redis_url)
    command = [sys.executable, "-m", "benchmarks.stock_dramatiq", redis_url]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(workers)]
    with Redis.from_url(redis_url) as redis, redis.pubsub() as pubsub:
        pubsub.subscribe(CHANNEL)
        try:
            for number in range(workers):  # each is there when it has taken one
                publish_done.send(number)
            _hear(pubsub, workers)
            for process in started:
                psutil.Process(process.pid).suspend()
            for number in range(messages):
                publish_done.send(number)
            began = time.perf_counter()
            for process in started:
                psutil.Process(process.pid).resume()
            _hear(pubsub, messages)
            return messages / (time.perf_counter() - began)
        finally:
            for process in started:
                process.communicate(timeout=30)


def _hear(pubsub: PubSub, count: int) -> None:
    """Return after so many publications."""
    deadline = time.monotonic() + _PATIENCE_S
    while count:
        if time.monotonic() > deadline:
            raise SystemExit("stock Dramatiq does not work on its messages")
        message = pubsub.get_message(timeout=1.0)
        count -= message is not None and message["type"] == "message"

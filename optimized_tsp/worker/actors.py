"""The Dramatiq side of a worker: one actor that passes a ring on to the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from contextlib import suppress

import dramatiq
from dramatiq import Worker

from optimized_tsp.events.broker import RingBroker
from optimized_tsp.events.bus import DRAIN_ACTOR, QUEUE
from optimized_tsp.worker.runner import JobRunner

__all__ = ["ring_worker"]

# How long an idle thread takes to notice that the worker stops. Each turn costs a look into Redis,
# and those were a third of what an idle worker used.
_IDLE_TURN_MS = 750


def ring_worker(redis_url: str, runner: JobRunner, loop: asyncio.AbstractEventLoop) -> Worker:
    """A Dramatiq worker, not yet started, that answers each ring with `runner.drain` on `loop`.

    No middleware: no time limit (jobs have their own), no retries (the lease sees to that). One
    thread and one ring at a time: rings that this worker cannot answer now stay for idle ones.
    """
    broker = RingBroker(redis_url, middleware=[])

    def drain() -> None:
        # Cancelled is what the runner abandons: the worker ends, and the lease sees to the job.
        with suppress(CancelledError):
            asyncio.run_coroutine_threadsafe(runner.drain(), loop).result()

    dramatiq.actor(actor_name=DRAIN_ACTOR, queue_name=QUEUE, broker=broker)(drain)
    worker = Worker(broker, worker_threads=1, worker_timeout=_IDLE_TURN_MS)
    worker.queue_prefetch = 1
    return worker

"""Runs one worker: one process, one job at a time, everything on one event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import structlog

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import new_id
from optimized_tsp.core.logging import configure_logging, log_once
from optimized_tsp.core.loop_lag import LAG_BUCKETS, watch_loop
from optimized_tsp.core.tasks import end_tasks
from optimized_tsp.core.totals import Tally
from optimized_tsp.core.tracing import Tracing, TracingUnavailable, start_tracing
from optimized_tsp.events.bus import Bus, Channel
from optimized_tsp.events.listen import listen
from optimized_tsp.solvers.process import SolverProcess
from optimized_tsp.solvers.registry import UnfitSolver, all_solvers
from optimized_tsp.webhooks.deliverer import make_deliverer
from optimized_tsp.webhooks.transport import trusted_authorities
from optimized_tsp.worker.actors import ring_worker
from optimized_tsp.worker.health import APPLICATION_NAME
from optimized_tsp.worker.reconciler import Reconciler, write_what_is_left
from optimized_tsp.worker.retention import keep_pruning
from optimized_tsp.worker.run import Means
from optimized_tsp.worker.runner import JobRunner

__all__ = ["run"]

logger = structlog.get_logger(__name__)

# Asking a solver to stop, killing it, a checkpoint: about a second when Postgres answers.
_SHUTDOWN_MS = 2000


def run(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM; a job under way is stored and given back before that."""
    if settings.database_url is None or settings.redis_url is None:
        sys.exit(
            "optimized-tsp: a worker needs OPTIMIZED_TSP_DATABASE_URL and OPTIMIZED_TSP_REDIS_URL; "
            "`optimized-tsp up` sets them for the embedded servers"
        )
    try:
        authorities = trusted_authorities(settings.webhook_ca_file)
    except OSError as error:
        sys.exit(f"optimized-tsp: OPTIMIZED_TSP_WEBHOOK_CA_FILE cannot be used: {error}")
    configure_logging(settings.log_format, settings.log_level)
    try:
        all_solvers()
        tracing = start_tracing(settings.traces_endpoint, service="optimized-tsp-worker")
    except (UnfitSolver, TracingUnavailable) as error:
        sys.exit(f"optimized-tsp: {error}")
    urls = (settings.database_url.get_secret_value(), settings.redis_url.get_secret_value())
    try:
        asyncio.run(_work(settings, tracing, authorities, *urls))
    except Exception as defect:  # noqa: BLE001 - its last words are a log line like any other
        log_once(logger, defect, effect="this worker ends")
        sys.exit(1)
    finally:
        tracing.close()


async def _work(
    settings: Settings,
    tracing: Tracing,
    authorities: ssl.SSLContext,
    database_url: str,
    redis_url: str,
) -> None:
    shutdown = _shutdown_signal()
    async with _means(settings, tracing, database_url, redis_url) as means:
        runner = JobRunner(_name(), means, shutdown)
        rings = ring_worker(redis_url, runner, asyncio.get_running_loop())
        deliverer = make_deliverer(settings, means.database, authorities, means.tally, tracing)
        always: list[asyncio.Task[Any]] = [
            asyncio.create_task(Reconciler(means).run()),
            asyncio.create_task(keep_pruning(means.database, settings)),
            asyncio.create_task(listen(means.bus, Channel.CONTROL, runner.look_for_cancel)),
            asyncio.create_task(deliverer.run()),
            asyncio.create_task(listen(means.bus, Channel.EVENTS, deliverer.wake)),
            asyncio.create_task(watch_loop(lambda lag_s: _note_lag(means.tally, lag_s))),
        ]
        stopping = asyncio.create_task(shutdown.wait())
        rings.start()
        means.bus.ring()  # jobs may wait whose ring nobody heard
        try:
            await asyncio.wait([stopping, *always], return_when=asyncio.FIRST_COMPLETED)
        finally:
            shutdown.set()
            leaving = asyncio.create_task(deliverer.stop())
            await asyncio.to_thread(rings.stop, _SHUTDOWN_MS)
            await asyncio.wait([leaving])
            runner.abandon()
            await end_tasks(always)
        # None of them ends by itself: if one did, that is a defect to die of.
        for task in (*always, leaving):
            if not task.cancelled() and (defect := task.exception()) is not None:
                raise defect


def _shutdown_signal() -> asyncio.Event:
    shutdown = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, shutdown.set)
    return shutdown


@asynccontextmanager
async def _means(
    settings: Settings, tracing: Tracing, database_url: str, redis_url: str
) -> AsyncGenerator[Means]:
    database = Database(database_url, application_name=APPLICATION_NAME)
    bus, tally = Bus(redis_url), Tally()
    try:
        async with SolverProcess() as solver:
            yield Means(settings, database, bus, solver, tally, tracing)
        await write_what_is_left(tally, database)
    finally:
        await bus.close()
        await database.close()


def _note_lag(tally: Tally, lag_s: float) -> None:
    tally.observe("worker_event_loop_lag_seconds", lag_s, LAG_BUCKETS)


def _name() -> str:
    """Which process on which machine, never the same twice."""
    return f"{socket.gethostname()}:{os.getpid()}:{new_id().hex[-8:]}"

"""Runs the application with uvicorn."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings
from optimized_tsp.core.logging import configure_logging
from optimized_tsp.core.open_files import raise_open_files, watch_open_files
from optimized_tsp.core.tasks import end_tasks
from optimized_tsp.core.tracing import TracingUnavailable
from optimized_tsp.jobs.waiting import Waiters
from optimized_tsp.live.protocol import websocket_options
from optimized_tsp.solvers.registry import UnfitSolver

__all__ = ["FILES_FOR_ALL_CLIENTS", "run"]

_STARTUP_FAILURE = 3  # uvicorn's own
FILES_FOR_ALL_CLIENTS = 11_000
"""Open files for the 10,000 clients that one process serves, and what else it needs beside them."""


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    configure_logging(settings.log_format, settings.log_level)
    try:
        app = create_app(settings)
    except (UnfitSolver, TracingUnavailable) as error:
        sys.exit(f"optimized-tsp: {error}")
    raise_open_files(needed=FILES_FOR_ALL_CLIENTS)
    # What is there by now stays: looking through it again and again took a part of every request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        reset_contextvars=True,  # or the next request of a connection would name this one's job
        **websocket_options(),
    )
    server = _Server(config, app)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILURE)


class _Server(uvicorn.Server):
    """Says when it can take no connections, and answers who waits before it would break off."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def main_loop(self) -> None:
        watching = asyncio.create_task(watch_open_files())
        try:
            await super().main_loop()
        finally:
            await end_tasks([watching])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        waiters: Waiters = self._app.state.services.waiters
        waiters.end()
        await super().shutdown(sockets)

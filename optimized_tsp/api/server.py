"""Runs the application with uvicorn."""

from __future__ import annotations

import gc
import sys

import uvicorn

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings
from optimized_tsp.core.logging import configure_logging
from optimized_tsp.core.tracing import TracingUnavailable
from optimized_tsp.live.protocol import websocket_options
from optimized_tsp.solvers.registry import UnfitSolver

__all__ = ["run"]


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    configure_logging(settings.log_format)
    try:
        app = create_app(settings)
    except (UnfitSolver, TracingUnavailable) as error:
        sys.exit(f"optimized-tsp: {error}")
    # What is there by now stays: looking through it again and again took a part of every request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        **websocket_options(),
    )

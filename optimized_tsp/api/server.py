"""Runs the application with uvicorn."""

from __future__ import annotations

import uvicorn

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings
from optimized_tsp.core.logging import configure_logging

__all__ = ["run"]


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    configure_logging(settings.log_format)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="websockets",
        ws_per_message_deflate=False,
        ws_max_size=256 * 1024,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=3,
    )

"""Structured logs: one line an event, for people (console) or machines (JSON), on stderr."""

from __future__ import annotations

import logging
import sys
import time
from math import inf

import structlog

from optimized_tsp.core.config import LogFormat, LogLevel

__all__ = ["Rarely", "configure_logging", "log_once"]

_LOGGED = "already_logged"
_OURS = "optimized_tsp"


class Rarely:
    """Says when it is time again for a line that could be written very often: once a minute."""

    def __init__(self, every_s: float = 60.0) -> None:
        self._every_s = every_s
        self._last = -inf

    def now(self) -> bool:
        """Whether it is time; if so, not again for a while."""
        if time.monotonic() - self._last < self._every_s:
            return False
        self._last = time.monotonic()
        return True


def log_once(logger: structlog.typing.WrappedLogger, error: BaseException, **facts: str) -> None:
    """Log an error nobody expected; what others log of it on its way out is left out."""
    logger.error("unexpected_error", exc_info=error, **facts)
    setattr(error, _LOGGED, True)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not getattr(error, _LOGGED, False)


def configure_logging(log_format: LogFormat, log_level: LogLevel = LogLevel.INFO) -> None:
    """Route structlog and the standard library's loggers through one renderer.

    Lines below INFO are ours alone: libraries' may hold what was sent, keys and passwords included.
    """
    level = logging.getLevelNamesMapping()[log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format is LogFormat.JSON
        else [
            # Tracebacks without local variables: those may hold passwords.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    # Nobody is shown these, and finding them out takes a part of every line (Python's manual,
    # "Logging HOWTO", section "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - as the manual says
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_news)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))
    logging.getLogger(_OURS).setLevel(level)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "websockets", "alembic"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))

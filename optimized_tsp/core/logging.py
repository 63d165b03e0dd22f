"""Structured logs: one line an event, for people (console) or machines (JSON), on stderr."""

from __future__ import annotations

import logging
import sys

import structlog

from optimized_tsp.core.config import LogFormat

__all__ = ["configure_logging", "log_once"]

_LOGGED = "already_logged"


def log_once(logger: structlog.typing.WrappedLogger, error: BaseException, **facts: str) -> None:
    """Log an error nobody expected; what others log of it on its way out is left out."""
    logger.error("unexpected_error", exc_info=error, **facts)
    setattr(error, _LOGGED, True)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not getattr(error, _LOGGED, False)


def configure_logging(log_format: LogFormat, level: int = logging.INFO) -> None:
    """Route structlog and the standard library's loggers through one renderer."""
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
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "websockets", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

"""Traces of what happens to a job, from its request to its notification; off by default.

While they are off we import nothing of OpenTelemetry, and a trace that a caller began is still
passed on.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

__all__ = ["NoTracing", "Span", "SpanKind", "Tracing", "TracingUnavailable", "start_tracing"]

Value = str | int | float | bool


class TracingUnavailable(Exception):
    """Traces are asked for, but the extra `tracing` is not installed; the message says so."""


class SpanKind(StrEnum):
    """How a span relates to its parent in another process (OpenTelemetry's names)."""

    SERVER = "SERVER"
    CONSUMER = "CONSUMER"
    PRODUCER = "PRODUCER"
    CLIENT = "CLIENT"


class Span(Protocol):
    """A part of a trace that is going on."""

    @property
    def traceparent(self) -> str | None:
        """What its children name as their parent."""

    def rename(self, name: str) -> None:
        """Give it a better name."""

    def set(self, **facts: Value | None) -> None:
        """Add facts; dots of their names are written as two underscores."""

    def fail(self, error: BaseException | str) -> None:
        """Mark it as failed."""


class Tracing(Protocol):
    """Begins spans. `parent` is a W3C traceparent, None begins a new trace."""

    def span(
        self, name: str, *, kind: SpanKind, parent: str | None, began_at: datetime | None = None
    ) -> AbstractContextManager[Span]:
        """A span that ends with the block, and fails when the block raises."""

    def close(self) -> None:
        """Send what waits to be sent, for a second at most."""


class _NoSpan:
    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def rename(self, name: str) -> None:
        """Nobody sees it."""

    def set(self, **facts: Value | None) -> None:
        """Nobody sees them."""

    def fail(self, error: BaseException | str) -> None:
        """Nobody sees it."""


class NoTracing:
    """Traces are off: a trace of the caller's is passed on, nothing is added to it."""

    @contextmanager
    def span(
        self, name: str, *, kind: SpanKind, parent: str | None, began_at: datetime | None = None
    ) -> Generator[Span]:
        yield _NoSpan(parent)

    def close(self) -> None:
        """There is nothing to send."""


def start_tracing(endpoint: str | None, *, service: str) -> Tracing:
    """Traces to an OTLP/HTTP address under the name of a service; None: none at all.

    Raises `TracingUnavailable`.
    """
    if endpoint is None:
        return NoTracing()
    try:
        from optimized_tsp.core.otlp import OtlpTracing
    except ImportError as error:
        raise TracingUnavailable(
            "OPTIMIZED_TSP_TRACES_ENDPOINT is set, but the extra `tracing` is not installed: "
            f"pip install 'optimized-tsp[tracing]' ({error})"
        ) from error
    return OtlpTracing(endpoint, service)

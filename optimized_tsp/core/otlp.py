"""Traces by OpenTelemetry, sent in batches over OTLP/HTTP; imported only when they are on."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import optimized_tsp
from optimized_tsp.core.tracing import Span, SpanKind, Value

__all__ = ["OtlpTracing"]

_EVERY_MS = 1000
_TIMEOUT_S = 5.0
_LAST_WORD_S = 1.0


class OtlpTracing:
    """Spans of one process; a collector that is away costs spans, never requests or jobs."""

    def __init__(self, endpoint: str, service: str) -> None:
        resource = Resource.create(
            {"service.name": service, "service.version": optimized_tsp.__version__}
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=_EVERY_MS)
        )
        self._tracer = self._provider.get_tracer("optimized_tsp")

    @contextmanager
    def span(
        self, name: str, *, kind: SpanKind, parent: str | None, began_at: datetime | None = None
    ) -> Generator[Span]:
        carrier = {} if parent is None else {"traceparent": parent}
        span = self._tracer.start_span(
            name,
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=trace.SpanKind[kind.value],
            start_time=None if began_at is None else int(began_at.timestamp() * 1e9),
        )
        ours = _OtlpSpan(span)
        try:
            yield ours
        except Exception as error:
            ours.fail(error)
            raise
        finally:
            span.end()

    def close(self) -> None:
        # A collector that does not answer must not hold up the end of a process.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(_LAST_WORD_S)


class _OtlpSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(self._span))
        return carrier.get("traceparent")

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def set(self, **facts: Value | None) -> None:
        for name, value in facts.items():
            if value is not None:
                self._span.set_attribute(name.replace("__", "."), value)

    def fail(self, error: BaseException | str) -> None:
        if isinstance(error, BaseException):
            self._span.record_exception(error)
        self._span.set_status(trace.StatusCode.ERROR, str(error))

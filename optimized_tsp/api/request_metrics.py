"""Numbers of this API process: requests, the feed's clients, the event loop."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from optimized_tsp.core.loop_lag import LAG_BUCKETS
from optimized_tsp.live.feed import Feed

__all__ = ["FeedCollector", "RequestMetrics"]

_UNKNOWN = "unknown"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class RequestMetrics:
    """A registry of its own, so that several applications can live in one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "optimized_tsp_http_requests",
            "Requests answered, by route template and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "optimized_tsp_http_request_seconds",
            "Seconds from a request to the end of its answer; streams and waiting included.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._hand_outs = Histogram(
            "optimized_tsp_feed_hand_out_seconds",
            "From the first client to the last, whenever the feed hands out events.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._lag = Histogram(
            "optimized_tsp_event_loop_lag_seconds",
            "How much later than asked for the event loop of the API got to something.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )

    def observe(self, method: str, route: str | None, status: int, took_s: float) -> None:
        """Count a request; a `route` of None is a path that nothing is served at."""
        # Any word may come as a method: that must not make new series.
        method = method if method in _METHODS else _UNKNOWN
        self._requests.labels(method, route or _UNKNOWN, str(status)).inc()
        self._seconds.labels(method, route or _UNKNOWN).observe(took_s)

    def observe_hand_out(self, took_s: float) -> None:
        """Count a time that the feed handed out events."""
        self._hand_outs.observe(took_s)

    def observe_lag(self, lag_s: float) -> None:
        """Count a look at the event loop."""
        self._lag.observe(lag_s)


class FeedCollector(Collector):
    """The clients of this process's feed and what waits for them."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        load = self._feed.load()
        for name, help_text, value in (
            ("clients", "Websocket clients of this process.", load.clients),
            ("queued_events", "Events that wait for a client to take them.", load.events),
            ("queued_bytes", "Bytes of them, counted once per client.", load.bytes),
            ("longest_queue_bytes", "Bytes that wait for the slowest client.", load.longest),
        ):
            yield GaugeMetricFamily(f"optimized_tsp_feed_{name}", help_text, value)

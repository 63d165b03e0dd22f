"""`GET /metrics`: numbers for Prometheus.

Those of the whole installation come from Postgres and are the same on every replica (aggregate with
`max`); those of this process are its own (aggregate with `sum`). docs/operations.md has the list.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from optimized_tsp.api.request_metrics import RequestMetrics
from optimized_tsp.core.config import Auth, Settings
from optimized_tsp.core.errors import Unauthorized
from optimized_tsp.core.loop_lag import LAG_BUCKETS
from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.totals import SUM, Total, read_totals
from optimized_tsp.jobs.caller import bearer_key
from optimized_tsp.jobs.metrics import (
    SOLVE_BUCKETS,
    WAIT_BUCKETS,
    QueueLoad,
    fold_events,
    queue_load,
)
from optimized_tsp.jobs.services import Services, ServicesDep
from optimized_tsp.webhooks.backlog import Backlog, find_backlog

__all__ = ["metrics_router"]

logger = structlog.get_logger(__name__)

metrics_router = APIRouter(tags=["health"])

_SOLVER = ("solver", "version")
_COUNTERS = {
    "jobs_submitted": ("Jobs accepted.", _SOLVER),
    "job_starts": ("Runs of jobs begun; more than jobs where some were begun again.", _SOLVER),
    "jobs_ended": ("Jobs ended, by what became of them.", (*_SOLVER, "status", "solution_status")),
    "solver_crashes": ("Solver processes that died in a solve.", _SOLVER),
    "job_rescues": ("Jobs taken from workers that gave no sign of life.", ("status",)),
    "webhook_attempts": ("Attempts to deliver a webhook, by their result.", ("result",)),
}
_HISTOGRAMS: dict[str, tuple[str, tuple[float, ...], tuple[str, ...]]] = {
    "job_wait_seconds": ("Seconds from submission to the first run.", WAIT_BUCKETS, _SOLVER),
    "job_solve_seconds": ("Seconds of solving, over all runs.", SOLVE_BUCKETS, _SOLVER),
    "worker_event_loop_lag_seconds": (
        "How much later than asked for the event loop of a worker got to something.",
        LAG_BUCKETS,
        (),
    ),
}


@metrics_router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request, services: ServicesDep) -> Response:
    """With AUTH=required it takes METRICS_TOKEN as a bearer token: it tells of all tenants."""
    _check_token(services.settings, bearer_key(request))
    own: RequestMetrics = request.app.state.request_metrics
    registry = CollectorRegistry()
    registry.register(_Families([*own.registry.collect(), *await _of_installation(services)]))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _check_token(settings: Settings, presented: str | None) -> None:
    if settings.metrics_token is not None:
        expected = settings.metrics_token.get_secret_value()
        if presented is None or not hmac.compare_digest(presented.encode(), expected.encode()):
            raise Unauthorized("Send OPTIMIZED_TSP_METRICS_TOKEN as 'Authorization: Bearer …'.")
    elif settings.auth is Auth.REQUIRED:
        raise Unauthorized("Set OPTIMIZED_TSP_METRICS_TOKEN; without it /metrics is closed.")


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


async def _of_installation(services: Services) -> list[Metric]:
    """Numbers from Postgres; when it is away, that alone."""
    up = GaugeMetricFamily("optimized_tsp_database_up", "Whether Postgres answers this process.")
    try:
        await fold_events(services.database)
        async with services.database.read() as session:
            totals, load = await read_totals(session), await queue_load(session)
            backlog = await find_backlog(session)
    except Exception as error:
        if not is_outage(error):
            raise
        logger.warning("metrics_without_database", error=repr(error))
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [up, *_gauges(load, backlog), *_counters(totals), *_histograms(totals)]


def _gauges(load: list[QueueLoad], backlog: Backlog) -> Iterator[Metric]:
    for name, help_text, values in (
        ("jobs_waiting", "Jobs that wait for a worker.", [one.waiting for one in load]),
        ("jobs_running", "Jobs that a worker holds.", [one.running for one in load]),
        (
            "jobs_oldest_wait_seconds",
            "Seconds since the oldest waiting job was submitted.",
            [one.oldest_s for one in load],
        ),
    ):
        family = GaugeMetricFamily(f"optimized_tsp_{name}", help_text, labels=_SOLVER)
        for one, value in zip(load, values, strict=True):
            family.add_metric([one.solver, one.version], value)
        yield family
    for name, help_text, value in (
        ("pending", "Deliveries that are not ended.", backlog.pending),
        (
            "oldest_pending_seconds",
            "Seconds since the oldest of them was made.",
            backlog.oldest_pending_s,
        ),
        ("due", "Deliveries whose time has come.", backlog.due),
        ("oldest_due_seconds", "Seconds for which the oldest of them is due.", backlog.oldest_s),
    ):
        yield GaugeMetricFamily(f"optimized_tsp_webhooks_{name}", help_text, value)


def _counters(totals: list[Total]) -> Iterator[Metric]:
    for name, (help_text, labels) in _COUNTERS.items():
        family = CounterMetricFamily(f"optimized_tsp_{name}", help_text, labels=labels)
        for total in totals:
            if total.metric == name:
                family.add_metric([total.labels.get(label, "") for label in labels], total.value)
        yield family


def _histograms(totals: list[Total]) -> Iterator[Metric]:
    for name, (help_text, buckets, labels) in _HISTOGRAMS.items():
        family = HistogramMetricFamily(f"optimized_tsp_{name}", help_text, labels=labels)
        series: dict[tuple[str, ...], dict[str, float]] = {}
        for total in totals:
            if total.metric == name:
                key = tuple(total.labels.get(label, "") for label in labels)
                series.setdefault(key, {})[total.labels["le"]] = total.value
        for key, found in series.items():
            family.add_metric(list(key), _cumulative(found, buckets), found.get(SUM, 0.0))
        yield family


def _cumulative(found: dict[str, float], buckets: tuple[float, ...]) -> list[tuple[str, float]]:
    counted, rows = 0.0, []
    for bound in [*(f"{bound:g}" for bound in buckets), "+Inf"]:
        counted += found.get(bound, 0.0)
        rows.append((bound, counted))
    return rows

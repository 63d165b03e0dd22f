"""`GET /metrics`: numbers for Prometheus.

Those of the whole installation come from Postgres and are the same on every replica (aggregate with
`max`); those of this process are its own (aggregate with `sum`). docs/operations.md has the list.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import optimized_tsp
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
from optimized_tsp.jobs.states import TERMINAL, JobStatus
from optimized_tsp.solvers.contract import SolutionStatus
from optimized_tsp.solvers.registry import all_solvers
from optimized_tsp.webhooks.backlog import Backlog, find_backlog

__all__ = ["metrics_router"]

logger = structlog.get_logger(__name__)

metrics_router = APIRouter(tags=["health"])

_SOLVER = ("solver", "version")


class _Labels(NamedTuple):
    """The labels of a metric: solver and version, if it has them, and others with their values."""

    by_solver: bool = True
    values: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    @property
    def names(self) -> tuple[str, ...]:
        return (*(_SOLVER if self.by_solver else ()), *self.values)

    def known(self) -> Iterator[tuple[str, ...]]:
        """Every series there can be: 0 until something happens, as `increase()` in Prometheus
        does not see the first step of a series that was not there before."""
        for solver in all_solvers() if self.by_solver else [()]:
            for values in product(*self.values.values()):
                yield (*solver, *values)

    def of(self, total: Total) -> tuple[str, ...]:
        found = dict(total.labels)
        if "status" in found:  # workers of earlier versions wrote Submitted, not submitted
            found["status"] = found["status"].lower()
        return tuple(found.get(name, "") for name in self.names)


_ENDS = {
    "status": tuple(status.lower() for status in JobStatus if status in TERMINAL),
    "solution_status": tuple(SolutionStatus),
}
_RESCUED = (JobStatus.SUBMITTED, JobStatus.FAILED, JobStatus.CANCELLED)
_COUNTERS = {
    "jobs_submitted": ("Jobs accepted.", _Labels()),
    "job_starts": ("Runs of jobs begun; more than jobs where some were begun again.", _Labels()),
    "jobs_ended": ("Jobs ended, by what became of them.", _Labels(values=_ENDS)),
    "solver_crashes": ("Solver processes that died in a solve.", _Labels()),
    "job_rescues": (
        "Jobs taken from workers that gave no sign of life.",
        _Labels(by_solver=False, values={"status": tuple(each.lower() for each in _RESCUED)}),
    ),
    "webhook_attempts": (
        "Attempts to deliver a webhook, by their result.",
        _Labels(by_solver=False, values={"result": ("delivered", "failed")}),
    ),
}
_HISTOGRAMS = {
    "job_wait_seconds": ("Seconds from submission to the first run.", WAIT_BUCKETS, _Labels()),
    "job_solve_seconds": ("Seconds of solving, over all runs.", SOLVE_BUCKETS, _Labels()),
    "worker_event_loop_lag_seconds": (
        "How much later than asked for the event loop of a worker got to something.",
        LAG_BUCKETS,
        _Labels(by_solver=False),
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
    families = [*own.registry.collect(), *await _of_process(services)]
    registry.register(_Families([*families, *await _of_installation(services)]))
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


async def _of_process(services: Services) -> list[Metric]:
    """What this process is, and whether Redis answers it."""
    info = GaugeMetricFamily("optimized_tsp_info", "The version of this API.", labels=["version"])
    info.add_metric([optimized_tsp.__version__], 1)
    help_text = "Whether Redis answers this process."
    up = float(await services.bus.ping())
    return [info, GaugeMetricFamily("optimized_tsp_redis_up", help_text, up)]


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


def _gauges(found: list[QueueLoad], backlog: Backlog) -> Iterator[Metric]:
    by_solver = {solver: QueueLoad(*solver, 0, 0, 0.0) for solver in all_solvers()}
    load = [*(by_solver | {(one.solver, one.version): one for one in found}).values()]
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
        family = CounterMetricFamily(f"optimized_tsp_{name}", help_text, labels=labels.names)
        series = dict.fromkeys(labels.known(), 0.0)
        for total in totals:
            if total.metric == name:
                series[labels.of(total)] = series.get(labels.of(total), 0.0) + total.value
        for key, value in series.items():
            family.add_metric(key, value)
        yield family


def _histograms(totals: list[Total]) -> Iterator[Metric]:
    for name, (help_text, buckets, labels) in _HISTOGRAMS.items():
        family = HistogramMetricFamily(f"optimized_tsp_{name}", help_text, labels=labels.names)
        series: dict[tuple[str, ...], dict[str, float]] = {key: {} for key in labels.known()}
        for total in totals:
            if total.metric == name:
                series.setdefault(labels.of(total), {})[total.labels["le"]] = total.value
        for key, found in series.items():
            family.add_metric(list(key), _cumulative(found, buckets), found.get(SUM, 0.0))
        yield family


def _cumulative(found: dict[str, float], buckets: tuple[float, ...]) -> list[tuple[str, float]]:
    counted, rows = 0.0, []
    for bound in [*(f"{bound:g}" for bound in buckets), "+Inf"]:
        counted += found.get(bound, 0.0)
        rows.append((bound, counted))
    return rows

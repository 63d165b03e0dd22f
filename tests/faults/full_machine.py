"""What is measured on a full machine, and what must hold when nothing was done to anybody."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from tests.faults.mix import HOOKS

__all__ = ["LATE_S", "Full", "Measured", "judge_calm", "report", "troubles"]

LATE_S = 3.0
"""So much later than its time limit a job may end, on a machine that is several times too full."""

_BUSY_PERCENT = 99.0
_WITHOUT_CAUSE = frozenset({"lease_lost", "job_rescued", "solver_crashed", "solver_fault"})
_WORTH_TELLING = _WITHOUT_CAUSE | {"database_unavailable", "end_repeated", "no_solver_process"}
_SHOWN = 20


@dataclass(frozen=True)
class Full:
    """How full the machine is to be, for how long; jobs get time limits between `limits_s`."""

    seconds: float
    workers: int = 4
    threads: int = 2
    burners: int = os.cpu_count() or 1
    lease_s: float = 15.0
    limits_s: tuple[float, float] = (20.0, 60.0)
    seed: int = 1

    def settings(self) -> dict[str, str]:
        """Of a cluster that this is to be done to."""
        return HOOKS | {"lease_s": str(self.lease_s), "solver_threads": str(self.threads)}


@dataclass
class Measured:
    """What was seen; seconds unless the name says otherwise."""

    cpu_percents: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    jobs: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    stop_reasons: Counter[str] = field(default_factory=Counter)
    renewals: int = 0
    silences: list[float] = field(default_factory=list)
    overruns: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    cancels: list[float] = field(default_factory=list)
    lags: Counter[str] = field(default_factory=Counter)
    """Late wake-ups of the workers' event loops, by the upper bound of how late."""
    said: Counter[str] = field(default_factory=Counter)
    """Log lines that tell of trouble."""
    rescues: int = 0
    wrong: list[str] = field(default_factory=list)


def judge_calm(full: Full, measured: Measured) -> list[str]:
    """What must hold when nothing was done to anybody, and the machine was full all the time."""
    wrong = []
    busy = statistics.fmean(measured.cpu_percents)
    if busy < _BUSY_PERCENT:
        wrong.append(f"the CPU was busy for {busy:.1f} % of the time only: nothing was shown")
    if measured.renewals == 0:
        wrong.append("no lease was renewed: nothing was shown")
    wrong += [f"{measured.said[said]} times {said}" for said in _WITHOUT_CAUSE & {*measured.said}]
    if measured.rescues:
        wrong.append(f"{measured.rescues} jobs were rescued")
    if (longest := max(measured.silences, default=0.0)) > full.lease_s:
        wrong.append(f"a run kept silent for {longest:.1f} s, a lease is {full.lease_s:g} s")
    if (latest := max(measured.overruns, default=0.0)) > LATE_S:
        wrong.append(f"a job ended {latest:.1f} s after its time limit")
    if (slowest := max(measured.cancels, default=0.0)) > LATE_S:
        wrong.append(f"a job ended {slowest:.1f} s after its cancel")
    return wrong


def troubles(logs: str) -> Counter[str]:
    """How often the logs tell of what, as far as it is trouble."""
    said: Counter[str] = Counter()
    for line in logs.splitlines():
        if line.startswith('{"'):
            with suppress(orjson.JSONDecodeError):  # the last one may be half written
                said[str(orjson.loads(line).get("event"))] += 1
    return Counter({name: said[name] for name in _WORTH_TELLING if said[name]})


def report(full: Full, measured: Measured) -> str:
    """The figures, one line each."""
    percents = measured.cpu_percents
    cpu = f"{statistics.fmean(percents):.1f} % (least second {min(percents):.0f} %)"
    load = f"{statistics.fmean(measured.loads):.1f} (largest {max(measured.loads):.1f})"
    worked = f"{full.workers} workers of {full.threads} threads, {full.burners} burners"
    lines = [
        f"{full.seconds / 60:g} minutes, {os.cpu_count()} cores: {worked}; CPU {cpu}, load {load}",
        f"{measured.jobs} jobs {measured.statuses}, ended by {dict(measured.stop_reasons)}",
        f"{measured.renewals} renewals of leases of {full.lease_s:g} s, {measured.rescues} rescues",
        _spread("between two renewals, s", measured.silences),
        _spread("end after the time limit (negative: before), s", measured.overruns),
        _spread("cancel acknowledged, s", measured.acknowledged),
        _spread("cancel until ended, s", measured.cancels),
        f"lag of the workers' event loops: {_lags(measured.lags)}",
        f"trouble in the logs: {dict(measured.said) or 'none'}",
        f"{len(measured.wrong)} wrong",
        *(f"    WRONG: {what}" for what in measured.wrong[:_SHOWN]),
    ]
    return "".join(f"{line}\n" for line in lines)


def _spread(name: str, values: Sequence[float]) -> str:
    if not values:
        return f"{name}: none"
    ordered = sorted(values)
    at = {q: ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in (0.5, 0.99)}
    return f"{name}: p50 {at[0.5]:.2f}, p99 {at[0.99]:.2f}, largest {ordered[-1]:.2f}"


def _lags(lags: Counter[str]) -> str:
    bounds = sorted(lags, key=float)
    return ", ".join(f"<= {bound} s: {lags[bound]}" for bound in bounds)

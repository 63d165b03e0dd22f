"""What people read: a row per contender and instance, and the ratios of it all."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict

from benchmarks.engine.trace import Trace

__all__ = ["bound_gap", "gap", "percent", "print_rows", "print_summary"]

_HEAD = (
    f"{'instance':12} {'contender':15} {'gap at 1 s':>11} {'gap':>9} {'bound gap':>10}"
    f" {'wall s':>8} {'first s':>8} {'MiB':>7}  proven"
)


def print_rows(traces: list[Trace], optimum: int) -> None:
    """One row for every contender; gaps to the known optimum in percent."""
    print(f"\n{_HEAD}   (optimum {optimum})")
    for trace in traces:
        if trace.failure is not None:
            print(f"{trace.instance:12} {trace.contender:15} {trace.failure}", flush=True)
            continue
        first_s = trace.first_tour_s()
        print(
            f"{trace.instance:12} {trace.contender:15}"
            f" {percent(gap(trace.cost_at(1.0), optimum)):>11}"
            f" {percent(gap(trace.cost, optimum)):>9}"
            f" {percent(bound_gap(trace.bound, optimum)):>10}"
            f" {trace.wall_s:8.2f} {'-' if first_s is None else f'{first_s:.2f}':>8}"
            f" {'-' if trace.peak_mib is None else f'{trace.peak_mib:.0f}':>7}"
            f"  {_verdict(trace, optimum)}",
            flush=True,
        )


def print_summary(traces: list[Trace], optima: dict[str, int]) -> None:
    """Ours (the first contender) against every other: who proves, how fast, and who is better."""
    by_contender: dict[str, dict[str, Trace]] = defaultdict(dict)
    for trace in traces:
        if trace.failure is None:
            by_contender[trace.contender][trace.instance] = trace
    ours, *others = by_contender
    wrong = [trace for trace in traces if _wrong(trace, optima[trace.instance])]
    print("\nSummary")
    for name, solved in by_contender.items():
        proven = sum(trace.proven for trace in solved.values())
        print(f"{name:15} proven {proven} of {len(solved)}")
    for name in others:
        print(_against(ours, by_contender[ours], name, by_contender[name]))
    print("wrong proofs or bounds: " + (", ".join(map(_name, wrong)) or "none"))


def _against(our_name: str, ours: dict[str, Trace], name: str, theirs: dict[str, Trace]) -> str:
    common = [(ours[key], theirs[key]) for key in ours if key in theirs]
    both = [(mine.wall_s, other.wall_s) for mine, other in common if mine.proven and other.proven]
    costs = [(mine.cost, other.cost) for mine, other in common]
    better = sum(_less(mine, other) for mine, other in costs)
    worse = sum(_less(other, mine) for mine, other in costs)
    line = f"{our_name} / {name}: better tour {better}, equal {len(costs) - better - worse}"
    line += f", worse {worse} of {len(costs)}"
    if both:
        ratios = [other / max(mine, 1e-3) for mine, other in both]
        line += (
            f"; proofs by both {len(both)}, time {name} / {our_name}: median"
            f" {statistics.median(ratios):.1f}, geometric mean {_geometric_mean(ratios):.1f}"
        )
    return line


def _less(one: int | None, other: int | None) -> bool:
    return one is not None and (other is None or one < other)


def _geometric_mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def gap(cost: int | None, optimum: int) -> float | None:
    """How far a tour lies above the optimum, as a share of it."""
    return None if cost is None else (cost - optimum) / max(optimum, 1)


def bound_gap(bound: float | None, optimum: int) -> float | None:
    """How far a bound lies below the optimum, as a share of it."""
    return None if bound is None else (optimum - bound) / max(optimum, 1)


def percent(fraction: float | None) -> str:
    """0.0123 as "1.230 %"; a dash where there is nothing."""
    return "-" if fraction is None else f"{100 * fraction:.3f} %"


def _wrong(trace: Trace, optimum: int) -> bool:
    """A tour below the optimum, a bound above it, or a proof of something else."""
    too_low = trace.cost is not None and trace.cost < optimum
    too_high = trace.bound is not None and math.ceil(trace.bound - 1e-6) > optimum
    return too_low or too_high or (trace.proven and trace.cost != optimum)


def _verdict(trace: Trace, optimum: int) -> str:
    if _wrong(trace, optimum):
        return "WRONG"
    return "yes" if trace.proven else "no"


def _name(trace: Trace) -> str:
    return f"{trace.contender} on {trace.instance}"

"""Draw what `--output` kept: `python -m benchmarks.engine.plots RESULTS.jsonl FOLDER`.

`gap-over-time.svg`: the median gap of each contender's tour to the optimum, over wall time.
`proof-time.svg`: the time of every proof over the number of nodes.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.engine.tables import read_results
from benchmarks.engine.trace import Trace

__all__ = ["main"]

_NOTHING_YET = 1.0
"""A contender without a tour counts as a gap of 100 %."""


def main() -> None:
    results, folder = Path(sys.argv[1]), Path(sys.argv[2])
    read = read_results(results)
    traces = [trace for trace, _ in read]
    optima = {trace.instance: optimum for trace, optimum in read}
    folder.mkdir(parents=True, exist_ok=True)
    _gap_over_time(traces, optima).savefig(folder / "gap-over-time.svg", metadata={"Date": None})
    _proof_time(traces).savefig(folder / "proof-time.svg", metadata={"Date": None})


def _gap_over_time(traces: list[Trace], optima: dict[str, int]) -> Figure:
    """Only contenders that report while they search have a curve; the others have their end."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    times = np.geomspace(0.05, max(trace.wall_s for trace in traces), 80)
    for name, of_name in _by_contender(traces).items():
        gaps = [[_gap(trace, optima, time) for trace in of_name] for time in times]
        axes.plot(times, [100 * statistics.median(row) for row in gaps], label=name)
    axes.set(xscale="log", xlabel="seconds", ylabel="median gap to the optimum, %")
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set_ylim(0, 100 * _NOTHING_YET)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    return figure


def _proof_time(traces: list[Trace]) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, of_name in _by_contender(traces).items():
        proven = [trace for trace in of_name if trace.proven]
        nodes = [trace.num_nodes for trace in proven]
        if proven:
            axes.scatter(nodes, [trace.wall_s for trace in proven], label=name, s=14)
    axes.set(xscale="log", yscale="log", xlabel="nodes", ylabel="seconds to the proof")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    return figure


def _by_contender(traces: list[Trace]) -> dict[str, list[Trace]]:
    found: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        if trace.failure is None:
            found[trace.contender].append(trace)
    return found


def _gap(trace: Trace, optima: dict[str, int], seconds: float) -> float:
    cost = trace.cost_at(seconds)
    optimum = optima[trace.instance]
    return _NOTHING_YET if cost is None else min(_NOTHING_YET, (cost - optimum) / max(optimum, 1))


if __name__ == "__main__":
    main()

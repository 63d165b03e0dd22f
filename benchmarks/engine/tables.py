"""Markdown of what `--output` kept: `python -m benchmarks.engine.tables RESULTS.jsonl`.

With a contender's name after it: a row for each instance with all that was measured of this one.
Without: a row for each instance, a column for each contender.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.engine.report import bound_gap, gap, percent
from benchmarks.engine.trace import Trace

__all__ = ["main", "read_results"]

Results = list[tuple[Trace, int]]
"""Every trace with its optimum."""

_MEASURED = (
    "instance",
    "nodes",
    "first tour, s",
    "gap at 1 s",
    "gap",
    "bound gap",
    "proven after, s",
    "MiB",
)


def main() -> None:
    results = read_results(Path(sys.argv[1]))
    lines = _of_one(results, sys.argv[2]) if len(sys.argv) > 2 else _side_by_side(results)
    print("\n".join(lines))


def read_results(path: Path) -> Results:
    """The newest trace of each contender and instance, small instances first."""
    newest: dict[tuple[str, str], tuple[Trace, int]] = {}
    for line in path.read_text("utf-8").splitlines():
        value = json.loads(line)
        optimum = value.pop("optimum")
        trace = Trace.from_json(value)
        newest[trace.contender, trace.instance] = (trace, optimum)
    return sorted(newest.values(), key=lambda one: (one[0].num_nodes, one[0].instance))


def _of_one(results: Results, name: str) -> Iterator[str]:
    yield f"| {' | '.join(_MEASURED)} |"
    yield "|---" * len(_MEASURED) + "|"
    for trace, optimum in results:
        if trace.contender != name or trace.failure is not None:
            continue
        first_s = trace.first_tour_s()
        cells = (
            trace.instance,
            str(trace.num_nodes),
            "-" if first_s is None else f"{first_s:.2f}",
            percent(gap(trace.cost_at(1.0), optimum)),
            percent(gap(trace.cost, optimum)),
            percent(bound_gap(trace.bound, optimum)),
            f"{trace.wall_s:.2f}" if trace.proven else f"open at {trace.wall_s:.0f}",
            "-" if trace.peak_mib is None else f"{trace.peak_mib:.0f}",
        )
        yield f"| {' | '.join(cells)} |"


def _side_by_side(results: Results) -> Iterator[str]:
    by_instance: dict[str, dict[str, str]] = defaultdict(dict)
    names: dict[str, None] = {}
    for trace, optimum in results:
        names[trace.contender] = None
        by_instance[trace.instance][trace.contender] = _in_short(trace, optimum)
    yield f"| | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for instance, cells in by_instance.items():
        yield f"| {instance} | {' | '.join(cells.get(name, '') for name in names)} |"


def _in_short(trace: Trace, optimum: int) -> str:
    """Seconds to the proof; else the gap of the tour, and of the bound where there is one."""
    if trace.failure is not None:
        return trace.failure
    if trace.proven:
        return f"{trace.wall_s:.2f} s"
    cost = "no tour" if trace.cost is None else percent(gap(trace.cost, optimum))
    return (
        cost if trace.bound is None else f"{cost}, bound {percent(bound_gap(trace.bound, optimum))}"
    )


if __name__ == "__main__":
    main()

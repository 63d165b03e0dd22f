"""One contender on one instance, in a process of its own: prints its trace as JSON.

`python -m benchmarks.engine.measured CONTENDER FILE LIMIT_S`
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.engine.contenders import CONTENDERS, NotForThis
from benchmarks.engine.trace import Point, Trace
from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolver

__all__ = ["main"]


def main() -> None:
    name, file, limit_s = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    instance = TspInstance.model_validate({"tsplib": file.read_text("utf-8")})
    _import_engines()
    trace = Trace(name, file.stem, instance.node_count, limit_s)
    began = time.perf_counter()

    def report(cost: int | None, bound: float | None) -> None:
        trace.points.append(Point(round(time.perf_counter() - began, 3), cost, bound))

    try:
        trace.statistics = CONTENDERS[name](instance, limit_s, report)
    except NotForThis as reason:
        trace.failure = str(reason)
    trace.wall_s = round(time.perf_counter() - began, 3)
    trace.proven = bool(trace.statistics.pop("proven", False))
    json.dump(trace.to_json(), sys.stdout)


def _import_engines() -> None:
    """Load what every solve loads, so that the time is that of the call, as in the worker."""
    import threading

    tiny = TspInstance(coordinates=[[0, 0], [0, 9], [9, 0], [9, 9], [5, 5]], metric="EUC_2D")
    TspSolver().solve(
        tiny,
        TspParameters(timeout=5),
        seed=1,
        stop=threading.Event(),
        on_incumbent=lambda _: None,
        start=None,
    )


if __name__ == "__main__":
    main()

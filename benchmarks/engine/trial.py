"""The first trial of this pipeline (research code outside this repository), as a contender."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.engine.trace import Point, Trace

__all__ = ["run_trial"]

_STARTING_S = 30.0
_RESULT = re.compile(r"^\S+ (?P<state>\w+) total (?P<wall>[\d.]+) .*?ub (?P<cost>\d+) ")
_BOUND = re.compile(r" lb (?P<bound>[\d.]+) ")


def run_trial(trial: Path, file: Path, num_nodes: int, limit_s: float) -> Trace:
    """Run its script for this kind of file; its wall time is what it says itself."""
    trace = Trace("trial", file.stem, num_nodes, limit_s)
    script = "run_atsp.py" if file.suffix == ".atsp" else "run_tsp.py"
    environment = {**os.environ, "TSPLIB": str(file.parent.resolve())}
    command = [sys.executable, script, file.stem, f"{limit_s:.3f}"]
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            cwd=trial,
            env=environment,
            capture_output=True,
            text=True,
            timeout=2 * limit_s + _STARTING_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        trace.failure, trace.wall_s = "did not end", time.perf_counter() - began
        return trace
    found = _RESULT.search(done.stdout)
    if found is None:
        trace.failure = (done.stderr.strip().splitlines() or ["no result"])[-1][:100]
        return trace
    bound = _BOUND.search(done.stdout)
    trace.wall_s = float(found["wall"])
    trace.proven = found["state"] == "PROVED"
    trace.points.append(
        Point(trace.wall_s, int(found["cost"]), float(bound["bound"]) if bound else None)
    )
    return trace

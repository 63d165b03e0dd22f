"""Solves the bundled example through a running service, as any client would, and shows it live.

`up` runs it as a program of its own: `python -m optimized_tsp.cli.demo http://127.0.0.1:8000`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson

from optimized_tsp.cli.address import find_service
from optimized_tsp.cli.client import Service, job_path, solver_path
from optimized_tsp.cli.exit_codes import ExitCode, complain, run
from optimized_tsp.cli.watch import end_code, watch_to_end
from optimized_tsp.solvers.contract import Example
from optimized_tsp.solvers.tsp import TspSolver

__all__ = ["main"]

_PATIENCE_S = 30.0  # beyond the job's own time limit: waiting for a worker to start
_SHOWN_STOPS = 12


def main() -> None:
    """Entry point; exit status 0 when the example was solved."""
    sys.exit(run(lambda: _solve(sys.argv[1])))


def _solve(api_url: str) -> ExitCode:
    solver = TspSolver()
    example = solver.examples()[0]
    with Service(find_service(api_url)) as service:
        jobs = f"{solver_path(solver.name, solver.version)}/jobs"
        job = service.submit(jobs, orjson.dumps(example.submission), key=str(uuid4()))
        patience_s = job["timeout"] + _PATIENCE_S
        end = watch_to_end(service, job, title=example.name, wait_s=patience_s, history=True)
        if end_code(end) is not ExitCode.OK:
            complain(f"the example was not solved: {end['error'] or end['status']}")
            return end_code(end)
        solution = service.solution(job, "application/json").json()
    sys.stdout.write("\n".join(_summary(example, solution, end)) + "\n")
    sys.stdout.write(f"{api_url}{job_path(job)}/solution\n")
    return ExitCode.OK


def _summary(example: Example, solution: dict[str, Any], end: dict[str, Any]) -> Iterator[str]:
    cost, bound, gap = solution["cost"], solution["lower_bound"], solution["gap"]
    proven = "proven optimal" if solution["solution_status"] == "optimal" else "best found"
    known = "" if gap is None else f", lower bound {bound:,}, gap {gap:.2%}"
    yield f"{example.name}: the tour costs {cost:,} ({proven}{known}) after {end['elapsed']:.1f} s"
    stops = [example.labels[node] for node in solution["node_order"]] if example.labels else []
    if stops:
        more = f" and {len(stops) - _SHOWN_STOPS} more" if len(stops) > _SHOWN_STOPS else ""
        yield f"{' - '.join(stops[:_SHOWN_STOPS])}{more}"
    yield f"Data: {example.attribution}"


if __name__ == "__main__":
    main()

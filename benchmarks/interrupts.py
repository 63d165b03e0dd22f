"""How fast a solve is stopped, and how fast one is rescued: `make bench-interrupts`.

Starts the whole service and interrupts solves:

- by cancels of solves of a thousand random points: milliseconds until that is acknowledged, and
  until the solver uses no CPU any more. The baseline is a naive CP-SAT model of fewer points, in
  this process, asked to stop by its own `stop_search`;
- by `kill -9` of workers, every other one with all below it, at any moment of their leases: seconds
  until the job runs again. The baseline is the lease: before it ends nobody can know that a worker
  is dead and not only silent;
- by `kill -9` of solvers: seconds until the job runs again.

Where a solver of the tests is interrupted (all of the last, and half of those before), which finds
something better every 50 ms and notes when, it is told how many seconds of progress were lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from benchmarks.processes import our_up, workers_of
from benchmarks.service import JOBS, service
from benchmarks.solvers import naive_stop_s
from benchmarks.throughput import percentile
from optimized_tsp.core.config import Settings
from optimized_tsp.solvers.tsp import TspInstance

_POINTS = 1_000
_BASELINE_POINTS = 200
_BASELINES = 5
_PATIENCE_S = 120.0
_QUIET_S = 0.3
_LOOK_S = 0.01
_WORKERS = 6
_JOBS = 4  # so that some workers are free to take over, as in an installation with room
_ODD_JOBS = "/odd_solver/v1/jobs"
_PLUGINS = Path(__file__).parents[1] / "tests" / "plugins"

_RUNNING_ON = "SELECT leased_by FROM jobs WHERE id = $1"
_STARTED_AGAIN = """
    SELECT extract(epoch FROM at)::float FROM events
    WHERE job_id = $1 AND type = 'job.started' AND (data->>'attempt')::int > 1
    ORDER BY seq LIMIT 1
"""
_KEPT = """
    SELECT min((data->>'cost')::bigint) FROM events
    WHERE job_id = $1 AND type = 'job.incumbent' AND seq < (
        SELECT max(seq) FROM events WHERE job_id = $1 AND type = 'job.started')
"""


@dataclass
class Measured:
    """All times of a run of this benchmark."""

    acknowledged_ms: list[float] = field(default_factory=list)
    stopped_ms: list[float] = field(default_factory=list)
    worker_rescues_s: list[float] = field(default_factory=list)
    solver_rescues_s: list[float] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Noting:
    """A job whose solver notes what it finds."""

    path: str
    notes: Path

    def lost_s(self, killed_at: float, kept: int) -> float:
        """Seconds of improvements before the kill that were not stored."""
        lines = self.notes.read_text().splitlines(keepends=True)
        noted = [line.split() for line in lines if line.endswith("\n")]
        found_at = next(float(at) for at, cost in noted if int(cost) == kept)
        last_at = max(float(at) for at, _ in noted if float(at) <= killed_at)
        return max(0.0, last_at - found_at)


def problem(source: random.Random, points: int = _POINTS) -> dict[str, Any]:
    """A problem that keeps a solver busy for a minute."""
    drawn = [[source.randrange(10**6), source.randrange(10**6)] for _ in range(points)]
    return {
        "tsp_instance": {"coordinates": drawn, "metric": "EUC_2D"},
        "optimization_parameters": {"timeout": 600, "threads": 1},
    }


def submit(client: httpx.Client, path: str, body: dict[str, Any]) -> str:
    """Submit; returns the job's path."""
    posted = client.post(path, json=body)
    posted.raise_for_status()
    return str(posted.headers["location"])


def wait_for(what: str, happened: Callable[[], bool]) -> None:
    """Wait until it happened; ends the benchmark when it does not."""
    deadline = time.monotonic() + _PATIENCE_S
    while not happened():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {_PATIENCE_S:g} s")
        time.sleep(0.05)


def until_solved(client: httpx.Client, path: str) -> str:
    """Wait for a job's first solution."""
    wait_for(
        f"a solution of {path}",
        lambda: client.get(f"{path}/solution").status_code == httpx.codes.OK,
    )
    return path


def solver_cpu_s(solvers: Sequence[psutil.Process]) -> float:
    """CPU of these processes that are still there; one that is gone uses no more."""
    total = 0.0
    for process in solvers:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def solvers_of(worker: psutil.Process) -> list[psutil.Process]:
    """The children of a worker's fork server: what solves."""
    return [child for server in worker.children() for child in server.children(recursive=True)]


def cancel(client: httpx.Client, path: str, worker: psutil.Process) -> tuple[float, float]:
    """Cancel a running job; milliseconds to the answer, and to the last CPU its solver used."""
    solvers = solvers_of(worker)
    began = time.perf_counter()
    client.post(f"{path}/cancel").raise_for_status()
    acknowledged = last = time.perf_counter()
    used_s = solver_cpu_s(solvers)
    while time.perf_counter() - last < _QUIET_S:
        time.sleep(_LOOK_S)
        now_s = solver_cpu_s(solvers)
        if now_s > used_s:
            last = time.perf_counter()
        used_s = now_s
    return 1000 * (acknowledged - began), 1000 * (last - began)


class Kills:
    """Kills of a service with several workers, and what they cost."""

    def __init__(
        self, running: dict[str, Any], folder: Path, source: random.Random, measured: Measured
    ) -> None:
        self._database_url: str = running["database_url"]
        self._client = httpx.Client(base_url=running["base_url"], timeout=30)
        self._folder = folder
        self._source = source
        self._measured = measured
        self._numbers = count(1)

    def of_workers(self) -> None:
        """Jobs for most workers; who runs one is killed at some moment of its lease."""
        wait_for("all workers", lambda: len(self._idle_workers()) == _WORKERS)
        noting = {job.path: job for job in (self._note() for _ in range(_JOBS // 2))}
        paths = [*noting]
        paths += [self._submit_points() for _ in range(_JOBS - len(noting))]
        for path in paths:
            until_solved(self._client, path)
        killed_at = {}
        for number, path in enumerate(self._source.sample(paths, len(paths))):
            time.sleep(self._source.uniform(0, 2 * Settings().lease_s / 3 / _JOBS))
            worker = psutil.Process(int(self._ask(_RUNNING_ON, path).split(":")[-2]))
            doomed = [*(worker.children(recursive=True) if number % 2 else []), worker]
            killed_at[path] = time.time()
            _kill(doomed)
        for path, at in killed_at.items():
            self._measured.worker_rescues_s.append(self._again_at(path) - at)
            if path in noting:
                self._count_loss(noting[path], at)
            self._client.post(f"{path}/cancel").raise_for_status()

    def of_a_solver(self) -> None:
        """A job whose solver is killed after some of its progress."""
        job = self._note()
        until_solved(self._client, job.path)
        time.sleep(self._source.uniform(0.5, 1.5))
        worker = psutil.Process(int(self._ask(_RUNNING_ON, job.path).split(":")[-2]))
        killed_at = time.time()
        _kill(solvers_of(worker))
        self._measured.solver_rescues_s.append(self._again_at(job.path) - killed_at)
        self._count_loss(job, killed_at)
        self._client.post(f"{job.path}/cancel").raise_for_status()

    def _idle_workers(self) -> list[psutil.Process]:
        """Those that have a solver ready; none while processes come and go."""
        with suppress(psutil.NoSuchProcess):
            return [worker for worker in workers_of(our_up()) if solvers_of(worker)]
        return []

    def _note(self) -> Noting:
        notes = self._folder / f"notes-{next(self._numbers)}"
        parameters = {"behaviour": "descend_noting", "gate": str(notes), "timeout": 600}
        body = {"instance": {"size": 3}, "optimization_parameters": parameters}
        return Noting(submit(self._client, _ODD_JOBS, body), notes)

    def _submit_points(self) -> str:
        return submit(self._client, JOBS, problem(self._source))

    def _again_at(self, path: str) -> float:
        """When the job ran again, once it does."""
        wait_for(f"rescue of {path}", lambda: self._ask(_STARTED_AGAIN, path) is not None)
        return float(self._ask(_STARTED_AGAIN, path))

    def _count_loss(self, job: Noting, killed_at: float) -> None:
        self._measured.lost_s.append(job.lost_s(killed_at, self._ask(_KEPT, job.path)))

    def _ask(self, question: str, path: str) -> Any:
        return asyncio.run(_fetch(self._database_url, question, path.rsplit("/", 1)[1]))


async def _fetch(database_url: str, question: str, job_id: str) -> Any:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(question, job_id)
    finally:
        await connection.close()


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def measure_cancels(measured: Measured, cancels: int, source: random.Random) -> None:
    """Cancels, one job at a time."""
    with service(workers=1) as running, httpx.Client(base_url=running["base_url"]) as client:
        [worker] = workers_of(our_up())
        for _ in range(cancels):
            path = until_solved(client, submit(client, JOBS, problem(source)))
            acknowledged_ms, stopped_ms = cancel(client, path, worker)
            measured.acknowledged_ms.append(acknowledged_ms)
            measured.stopped_ms.append(stopped_ms)


def measure_kills(measured: Measured, kills: int, source: random.Random) -> None:
    """Kills of solvers, then of workers, at least so many of each."""
    os.environ["PYTHONPATH"] = str(_PLUGINS)
    with tempfile.TemporaryDirectory(prefix="optimized-tsp-notes-") as folder:
        Path(folder).chmod(0o777)
        with service(workers=_WORKERS) as running:
            interrupted = Kills(running, Path(folder), source, measured)
            while len(measured.solver_rescues_s) < kills:
                interrupted.of_a_solver()
            while len(measured.worker_rescues_s) < kills:
                interrupted.of_workers()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cancels", type=int, default=120)
    parser.add_argument("--kills", type=int, default=36)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    os.environ["OPTIMIZED_TSP_SOLVER_THREADS"] = "1"
    measured = Measured()
    measure_cancels(measured, arguments.cancels, source)
    measure_kills(measured, arguments.kills, source)
    points = TspInstance.model_validate(problem(source, _BASELINE_POINTS)["tsp_instance"])
    baseline_ms = [1000 * naive_stop_s(points, after_s=3) for _ in range(_BASELINES)]
    print(f"{'':52}{'p50':>9}{'p99':>9}{'max':>9}{'of':>6}")
    for name, values, digits in (
        ("cancel acknowledged, ms", measured.acknowledged_ms, 1),
        ("cancel until the solver's CPU stops, ms", measured.stopped_ms, 1),
        (f"CP-SAT's stop_search, {_BASELINE_POINTS} points, ms (baseline)", baseline_ms, 1),
        ("kill -9 of a worker until its job runs, s", measured.worker_rescues_s, 2),
        ("kill -9 of a solver until its job runs, s", measured.solver_rescues_s, 2),
        ("progress lost with a kill, s", measured.lost_s, 2),
    ):
        shown = (percentile(values, 50), percentile(values, 99), max(values))
        figures = "".join(f"{value:9.{digits}f}" for value in shown)
        print(f"{name:52}{figures}{len(values):6}")
    lease_s = Settings().lease_s
    ratio = percentile(measured.worker_rescues_s, 50) / lease_s
    print(
        f"rescue of a worker's job / lease of {lease_s:g} s (baseline): {ratio:.2f} in the median"
    )
    ratio = percentile(baseline_ms, 50) / percentile(measured.stopped_ms, 50)
    print(f"CP-SAT's stop_search / our stop: {ratio:.1f} in the median")


if __name__ == "__main__":
    main()

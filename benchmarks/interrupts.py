"""How fast a solve is stopped, and how fast one is rescued: `make bench-interrupts`.

Starts the whole service and interrupts solves of a thousand random points, each after its first
tour: by a cancel (milliseconds until that is acknowledged, and until the solver uses no CPU any
more), and by `kill -9` of the worker (seconds until the job runs again elsewhere). The baseline of
a rescue is the lease: before it ends nobody can know that a worker is dead and not only silent.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from typing import Any

import asyncpg
import httpx
import psutil

from benchmarks.service import JOBS, service
from benchmarks.throughput import our_up, percentile, workers_of
from optimized_tsp.core.config import Settings

_POINTS = 1_000
_PATIENCE_S = 120.0
_QUIET_S = 0.3
_LOOK_S = 0.01
_WORKERS = 3

_STARTED_AGAIN = """
    SELECT extract(epoch FROM at)::float FROM events
    WHERE job_id = $1 AND type = 'job.started' AND (data->>'attempt')::int > 1
    ORDER BY seq LIMIT 1
"""


def problem(source: random.Random) -> dict[str, Any]:
    """A problem that keeps a solver busy for a minute."""
    points = [[source.randrange(10**6), source.randrange(10**6)] for _ in range(_POINTS)]
    return {
        "tsp_instance": {"coordinates": points, "metric": "EUC_2D"},
        "optimization_parameters": {"timeout": 600, "threads": 1},
    }


def start(client: httpx.Client, source: random.Random) -> str:
    """Submit a problem and wait for its first tour; returns the job's path."""
    posted = client.post(JOBS, json=problem(source))
    posted.raise_for_status()
    path: str = posted.headers["location"]
    deadline = time.monotonic() + _PATIENCE_S
    while client.get(f"{path}/solution").status_code != httpx.codes.OK:
        if time.monotonic() > deadline:
            raise SystemExit(f"no tour of {path} within {_PATIENCE_S:g} s")
        time.sleep(0.1)
    return path


def solver_cpu_s(solvers: list[psutil.Process]) -> float:
    """CPU of these processes that are still there; one that is gone uses no more."""
    total = 0.0
    for process in solvers:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def solvers_of(workers: list[psutil.Process]) -> list[psutil.Process]:
    """The children of fork servers: what solves."""
    return [
        child
        for worker in workers
        for server in worker.children()
        for child in server.children(recursive=True)
    ]


def cancel(client: httpx.Client, path: str, workers: list[psutil.Process]) -> tuple[float, float]:
    """Cancel a running job; milliseconds to the answer, and to the last CPU its solver used."""
    solvers = solvers_of(workers)
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


async def rescued_s(database_url: str, paths: list[str], killed_at: float) -> list[float]:
    """Seconds from the kill until each of these jobs runs again."""
    connection = await asyncpg.connect(database_url)
    deadline = time.monotonic() + _PATIENCE_S
    try:
        seconds = []
        for path in paths:
            job_id = path.rsplit("/", 1)[1]
            while (again_at := await connection.fetchval(_STARTED_AGAIN, job_id)) is None:
                if time.monotonic() > deadline:
                    raise SystemExit(f"{path} was not rescued within {_PATIENCE_S:g} s")
                await asyncio.sleep(0.1)
            seconds.append(again_at - killed_at)
        return seconds
    finally:
        await connection.close()


def kill_workers(
    running: dict[str, Any], client: httpx.Client, source: random.Random
) -> list[float]:
    """A job for every worker, then `kill -9` of all; seconds until each job runs again."""
    paths = [start(client, source) for _ in range(_WORKERS)]
    killed_at = time.time()
    for worker in workers_of(our_up()):
        worker.kill()
    seconds = asyncio.run(rescued_s(running["database_url"], paths, killed_at))
    for path in paths:
        client.post(f"{path}/cancel").raise_for_status()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cancels", type=int, default=50)
    parser.add_argument("--kills", type=int, default=21)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    os.environ["OPTIMIZED_TSP_SOLVER_THREADS"] = "1"
    with service(workers=1) as running, httpx.Client(base_url=running["base_url"]) as client:
        workers = workers_of(our_up())
        stops = [cancel(client, start(client, source), workers) for _ in range(arguments.cancels)]
    rescues: list[float] = []
    with (
        service(workers=_WORKERS) as running,
        httpx.Client(base_url=running["base_url"], timeout=30) as client,
    ):
        while len(rescues) < arguments.kills:
            rescues += kill_workers(running, client, source)
    print(f"{'':44}{'p50':>9}{'p99':>9}{'max':>9}")
    for name, values in (
        ("cancel acknowledged, ms", [acknowledged for acknowledged, _ in stops]),
        ("cancel until the solver's CPU stops, ms", [stopped for _, stopped in stops]),
        ("kill -9 of a worker until its job runs, s", rescues),
    ):
        p50, p99 = percentile(values, 50), percentile(values, 99)
        print(f"{name:44}{p50:9.1f}{p99:9.1f}{max(values):9.1f}")
    print(f"{len(stops)} cancels, {len(rescues)} kills; a lease is {Settings().lease_s:g} s")


if __name__ == "__main__":
    main()

"""How much the service takes: `make bench-throughput`.

Starts the whole service (one API, two workers) in a folder of its own and measures, one after the
other: the CPU that everything uses when nothing happens, submissions a second with sleeping
workers, the same while Redis stands still, the drain of what was submitted, and `GET /jobs` over
very many jobs (`benchmarks.lists`). The baseline of submissions is the same service with a
transaction for every request (`OPTIMIZED_TSP_SUBMIT_BATCH=1`).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import psutil

from benchmarks.lists import measure_lists, print_lists
from benchmarks.load import post_request, send_all
from benchmarks.service import JOBS, service

_IDLE_S = 20.0
_SETTLE_S = 3.0
_CONNECTIONS = 64
_PATIENCE_S = 600.0


def percentile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


def bodies(count: int) -> Iterator[bytes]:
    """Small problems, each a little different, so that each is stored."""
    for number in itertools.islice(itertools.count(1), count):
        matrix = [[None, 1, 9], [9, None, number], [3, 9, None]]
        yield json.dumps({"tsp_instance": {"matrix": matrix}}).encode()


@contextmanager
def sleeping(processes: list[psutil.Process]) -> Iterator[None]:
    """Processes stand still."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def workers_of(up: psutil.Process) -> list[psutil.Process]:
    return [process for process in up.children(recursive=True) if "worker" in process.cmdline()]


def redis_of(up: psutil.Process) -> list[psutil.Process]:
    return [p for p in up.children(recursive=True) if "valkey" in p.cmdline()[0]]


def submit(base_url: str, jobs: int) -> tuple[float, list[float]]:
    """Submissions a second, and the milliseconds of each."""
    host = base_url.removeprefix("http://")
    requests = [post_request(host, JOBS, body) for body in bodies(jobs)]
    port = int(host.rsplit(":", 1)[1])
    seconds, times, statuses = asyncio.run(send_all(port, requests, connections=_CONNECTIONS))
    if set(statuses) != {202}:
        raise SystemExit(f"answers by status: {statuses}")
    return jobs / seconds, times


async def drain(database_url: str) -> float:
    """Jobs a second from now until none waits or runs."""
    began = time.perf_counter()
    connection = await asyncpg.connect(database_url)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        query = "SELECT count(*) FROM jobs WHERE status IN ('Submitted', 'Running')"
        waiting = await connection.fetchval(query)
        while (  # noqa: ASYNC110 - no event of ours
            await connection.fetchval(query) and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.05)
        return float(waiting / (time.perf_counter() - began))
    finally:
        await connection.close()


def idle_cpu(up: psutil.Process) -> float:
    """Per cent of one core that the whole process tree uses when nothing happens."""
    time.sleep(_SETTLE_S)
    before = _cpu_s(up)
    time.sleep(_IDLE_S)
    return 100 * (_cpu_s(up) - before) / _IDLE_S


def _cpu_s(up: psutil.Process) -> float:
    times = [process.cpu_times() for process in (up, *up.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def our_up() -> psutil.Process:
    """The supervisor that this process started."""
    return next(p for p in psutil.Process().children() if "up" in p.cmdline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3_000)
    parser.add_argument("--drained", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    arguments = parser.parse_args()
    os.environ["OPTIMIZED_TSP_SUBMIT_BATCH"] = "1"
    with service(workers=1) as running, sleeping(workers_of(our_up())):
        base_rate, base_times = submit(running["base_url"], arguments.jobs)
    del os.environ["OPTIMIZED_TSP_SUBMIT_BATCH"]
    with service(workers=2) as running:
        up = our_up()
        idle = idle_cpu(up)
        with sleeping(workers_of(up)):
            rate, times = submit(running["base_url"], arguments.jobs)
            with sleeping(redis_of(up)):
                deaf_rate, deaf_times = submit(running["base_url"], arguments.jobs)
        asyncio.run(drain(running["database_url"]))
        with sleeping(workers_of(up)):
            submit(running["base_url"], arguments.drained)
        drained = asyncio.run(drain(running["database_url"]))
        listed = asyncio.run(measure_lists(running, arguments.many, 200))
    print(
        f"submissions, {_CONNECTIONS} connections{'':8}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}"
    )
    for name, a_second, each in (
        ("a transaction each (baseline)", base_rate, base_times),
        ("optimized-tsp", rate, times),
        ("optimized-tsp, Redis stands still", deaf_rate, deaf_times),
    ):
        p50, p99 = statistics.median(each), percentile(each, 99)
        print(f"{name:36}{a_second:10.0f}{p50:9.1f}{p99:9.1f}")
    print(f"ratio {rate / base_rate:.1f}")
    print(f"drain of {arguments.drained} trivial jobs, 2 workers: {drained:.0f} a second")
    print(f"idle: {idle:.1f} % of a core, everything together")
    print_lists(listed)


if __name__ == "__main__":
    main()

"""How much the service takes: `make bench-throughput`.

Starts the whole service (one API, two workers) in a folder of its own and measures, one after the
other: the CPU that everything uses when nothing happens, submissions a second with sleeping
workers, the same with an `Idempotency-Key` each and while Redis stands still, the drain of what was
submitted, `GET /jobs` over very many jobs (`benchmarks.lists`), and submissions behind the queue
that is long then. The baseline of submissions is
the same service with a transaction for every request (`OPTIMIZED_TSP_SUBMIT_BATCH=1`), that of the
drain stock Dramatiq on the same Valkey, whose actor stores and solves nothing, that of the idle
service its servers alone (`benchmarks.baselines`).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil

from benchmarks.baselines import bare_servers, stock_drain
from benchmarks.lists import measure_lists, print_lists
from benchmarks.load import post_request, send_all
from benchmarks.processes import our_up, redis_of, sleeping, workers_of
from benchmarks.service import JOBS, service

_IDLE_S = 30.0
_SETTLE_S = 10.0
_CONNECTIONS = 64
_PATIENCE_S = 600.0

Measured = tuple[float, list[float]]
"""Submissions a second, and the milliseconds of each."""


def percentile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


def bodies(count: int) -> Iterator[bytes]:
    """Small problems, each a little different, so that each is stored."""
    for number in itertools.islice(itertools.count(1), count):
        matrix = [[None, 1, 9], [9, None, number], [3, 9, None]]
        yield json.dumps({"tsp_instance": {"matrix": matrix}}).encode()


def submit(base_url: str, jobs: int, *, keys: bool = False) -> Measured:
    """Submissions a second, and the milliseconds of each; with `keys` each has one of its own."""
    host = base_url.removeprefix("http://")
    requests = [
        post_request(host, JOBS, body, **({"Idempotency_Key": str(uuid4())} if keys else {}))
        for body in bodies(jobs)
    ]
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


def idle_cpu(*roots: psutil.Process) -> float:
    """Per cent of one core that these process trees use when nothing happens."""
    time.sleep(_SETTLE_S)
    before = _cpu_s(roots)
    time.sleep(_IDLE_S)
    return 100 * (_cpu_s(roots) - before) / _IDLE_S


def _cpu_s(roots: Sequence[psutil.Process]) -> float:
    """Seconds of CPU so far; the scheduler counts them to the nanosecond, `cpu_times` to 10 ms."""
    processes = [process for root in roots for process in (root, *root.children(recursive=True))]
    threads = (one for p in processes for one in Path(f"/proc/{p.pid}/task").iterdir())
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9


def print_submissions(*rows: tuple[str, Measured, Measured]) -> None:
    """Rows of a name, what was measured, and its baseline."""
    head = f"submissions, {_CONNECTIONS} connections"
    print(f"{head:36}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>9}")
    for name, (rate, times), (base, _) in rows:
        p50, p99 = statistics.median(times), percentile(times, 99)
        print(f"{name:36}{rate:10.0f}{p50:9.1f}{p99:9.1f}{rate / base:9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3_000)
    parser.add_argument("--drained", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    arguments = parser.parse_args()
    os.environ["OPTIMIZED_TSP_SUBMIT_BATCH"] = "1"
    with service(workers=1) as running, sleeping(workers_of(our_up())):
        baseline = submit(running["base_url"], arguments.jobs)
        keyed_baseline = submit(running["base_url"], arguments.jobs, keys=True)
    del os.environ["OPTIMIZED_TSP_SUBMIT_BATCH"]
    with bare_servers() as servers:
        bare = idle_cpu(*servers)
    with service(workers=2) as running:
        up = our_up()
        idle = idle_cpu(up)
        with sleeping(workers_of(up)):
            ours = submit(running["base_url"], arguments.jobs)
            keyed = submit(running["base_url"], arguments.jobs, keys=True)
            with sleeping(redis_of(up)):
                deaf = submit(running["base_url"], arguments.jobs)
        asyncio.run(drain(running["database_url"]))
        with sleeping(workers_of(up)):
            submit(running["base_url"], arguments.drained)
        drained = asyncio.run(drain(running["database_url"]))
        stock = stock_drain(running["redis_url"], arguments.drained, workers=2)
        with sleeping(workers_of(up)):
            listed = asyncio.run(measure_lists(running, arguments.many, arguments.waiting, 200))
            deep = submit(running["base_url"], arguments.jobs)
    print_submissions(
        ("a transaction each (baseline)", baseline, baseline),
        ("the same, with keys (baseline)", keyed_baseline, keyed_baseline),
        ("optimized-tsp", ours, baseline),
        ("optimized-tsp, with keys", keyed, keyed_baseline),
        ("optimized-tsp, Redis stands still", deaf, baseline),
        (f"optimized-tsp, {arguments.waiting} wait", deep, baseline),
    )
    print(f"{f'drain of {arguments.drained} trivial jobs, 2 workers':36}{'a second':>10}")
    print(f"{'stock Dramatiq (baseline)':36}{stock:10.0f}")
    print(f"{'optimized-tsp':36}{drained:10.0f}{'':18}{drained / stock:9.2f}")
    print(f"{'idle, everything together':36}{'% of a core':>12}")
    print(f"{'its Postgres and Valkey (baseline)':36}{bare:10.2f}")
    print(f"{'optimized-tsp':36}{idle:10.2f}{'':18}{idle / bare:9.1f}")
    print_lists(listed)


if __name__ == "__main__":
    main()

"""How fast the plumbing is: submit to notification on an idle system, against stock Dramatiq.

`make bench-service` starts the whole service (embedded servers, one API, one worker) in a folder of
its own, measures, and stops it. Times are milliseconds of wall time as a client sees them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from benchmarks.stock_dramatiq import CHANNEL, publish_done, use_broker
from optimized_tsp.embedded.identity import free_port

JOBS = "/tsp_solver/v1/jobs"
TRIVIAL = {"tsp_instance": {"matrix": [[None, 1, 9], [9, None, 2], [3, 9, None]]}}
READY_S = 60.0
WARM_UP = 5


@contextmanager
def service(workers: int) -> Iterator[dict[str, Any]]:
    """The running service's addresses, as `optimized-tsp config --json` tells them."""
    with tempfile.TemporaryDirectory(prefix="optimized-tsp-bench-") as folder:
        data_dir = Path(folder) / "data"
        env = os.environ | {
            "OPTIMIZED_TSP_DATA_DIR": str(data_dir),
            "OPTIMIZED_TSP_PORT": str(free_port()),
        }
        command = [sys.executable, "-m", "optimized_tsp.cli.main"]
        up = subprocess.Popen(
            [*command, "up", "--no-demo", "--workers", str(workers)],
            env=env,
            stdout=subprocess.DEVNULL,
        )
        try:
            base_url = f"http://127.0.0.1:{env['OPTIMIZED_TSP_PORT']}"
            wait_until_ready(base_url, up)
            shown = subprocess.run(
                [*command, "config", "--json"], env=env, check=True, capture_output=True
            )
            yield json.loads(shown.stdout) | {"base_url": base_url}
        finally:
            up.terminate()
            up.wait(timeout=30)


def wait_until_ready(base_url: str, up: subprocess.Popen[bytes]) -> None:
    """Return when jobs are accepted; raises when that takes too long."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and up.poll() is None:
        try:
            if httpx.get(f"{base_url}/readyz", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.05)  # nothing to wait on: it is not there yet
    raise SystemExit("the service did not become ready")


async def measure_service(base_url: str, repeats: int, pauses: list[float]) -> list[float]:
    """Milliseconds from sending the POST to the `job.completed` event, one job at a time."""
    times = []
    live = base_url.replace("http", "ws") + "/live"
    async with httpx.AsyncClient(base_url=base_url) as client, connect(live) as socket:
        await socket.send('{"type": "subscribe"}')
        while json.loads(await socket.recv())["type"] != "subscribed":
            pass
        for pause in pauses[: repeats + WARM_UP]:
            await asyncio.sleep(pause)
            started = time.perf_counter()
            posting = asyncio.create_task(client.post(JOBS, json=TRIVIAL))
            await until_completed(socket)
            times.append((time.perf_counter() - started) * 1000)
            (await posting).raise_for_status()
    return times[WARM_UP:]


async def until_completed(socket: Any) -> None:
    """Read the feed up to the next `job.completed`."""
    while True:
        message = json.loads(await socket.recv())
        if message["type"] == "event" and message["event"]["type"] == "job.completed":
            return


async def measure_stock(redis_url: str, repeats: int, pauses: list[float]) -> list[float]:
    """Milliseconds from sending a message to stock Dramatiq to the publication of its actor."""
    use_broker(redis_url)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.stock_dramatiq", redis_url, stdin=subprocess.PIPE
    )
    times = []
    try:
        async with Redis.from_url(redis_url) as redis, redis.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            for number, pause in enumerate(pauses[: repeats + WARM_UP]):
                await asyncio.sleep(pause)
                started = time.perf_counter()
                publish_done.send(number)
                await until_published(pubsub, number)
                times.append((time.perf_counter() - started) * 1000)
    finally:
        assert worker.stdin is not None
        worker.stdin.close()
        await asyncio.wait_for(worker.wait(), 30)
    return times[WARM_UP:]


async def until_published(pubsub: Any, number: int) -> None:
    """Read publications up to this message's."""
    async for message in pubsub.listen():
        if message["type"] == "message" and int(message["data"]) == number:
            return


def quantiles(times: list[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return statistics.median(times), statistics.quantiles(times, n=20)[18]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    # The system is idle between jobs, for a time no polling interval is a multiple of.
    pauses = [source.uniform(0.1, 1.1) for _ in range(arguments.repeats + WARM_UP)]

    with service(workers=1) as running:
        ours = asyncio.run(measure_service(running["base_url"], arguments.repeats, pauses))
        stock = asyncio.run(measure_stock(running["redis_url"], arguments.repeats, pauses))

    print(f"submit -> notification, idle system, {arguments.repeats} trivial jobs, milliseconds")
    print(f"{'':34}{'p50':>9}{'p95':>9}")
    (ours_p50, ours_p95), (stock_p50, stock_p95) = quantiles(ours), quantiles(stock)
    print(f"{'optimized-tsp (stored and solved)':34}{ours_p50:9.1f}{ours_p95:9.1f}")
    print(f"{'stock Dramatiq (baseline)':34}{stock_p50:9.1f}{stock_p95:9.1f}")
    ratios = stock_p50 / ours_p50, stock_p95 / ours_p95
    print(f"{'ratio baseline / ours':34}{ratios[0]:9.1f}{ratios[1]:9.1f}")


if __name__ == "__main__":
    main()

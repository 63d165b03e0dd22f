"""What one dead receiver costs the others: time to the first attempt, with and without it.

`make bench-webhooks` starts the whole service (embedded servers, one API, two workers) and eleven
endpoints; jobs are submitted at a steady rate. In one round of each pair the eleventh is as healthy
as the others, in the other one its receiver accepts connections and never says a word. Times are
milliseconds from an event (its `timestamp`, a moment before its commit) to its arrival at one of
the ten. Twenty rounds of ten seconds take about four minutes.

Two changes of the 99th percentile are told: that over all samples of a kind, which one bad second
of the machine can decide, and the median over the pairs, with the middle half of them, which shows
how far apart they are by chance.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import httpx
import orjson

from benchmarks.service import JOBS, TRIVIAL, service

RECEIVERS = 10
ELEVENTH = "eleventh"
EVERY_S = 0.25


class Arrivals:
    """What healthy receivers got: the wait of each event."""

    def __init__(self) -> None:
        self.waits_ms: list[float] = []
        self.came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        measured = not head.startswith(f"POST /{ELEVENTH} ".encode())
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        event = orjson.loads(await reader.readexactly(length))
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
        if measured:
            self.waits_ms.append(1000 * (time.time() - at))
            self.came.set()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything, says nothing, goes when the other side does or we end."""
    with suppress(asyncio.CancelledError):
        await reader.read()
    writer.close()


@asynccontextmanager
async def listening(serve: Any) -> AsyncIterator[str]:
    """The URL of a receiver."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def one_round(client: httpx.AsyncClient, arrivals: Arrivals, jobs: int) -> list[float]:
    """The waits of the events of so many jobs, one submitted every quarter of a second."""
    arrivals.waits_ms.clear()
    for _ in range(jobs):
        (await client.post(JOBS, json=TRIVIAL)).raise_for_status()
        await asyncio.sleep(EVERY_S)
    async with asyncio.timeout(60):
        while len(arrivals.waits_ms) < jobs * RECEIVERS:
            arrivals.came.clear()
            await arrivals.came.wait()
    return list(arrivals.waits_ms)


async def measure(base_url: str, rounds: int, jobs: int) -> list[tuple[list[float], list[float]]]:
    """Waits beside a healthy and beside a dead eleventh endpoint, of pairs of rounds."""
    pairs = []
    arrivals = Arrivals()
    async with (
        listening(arrivals.serve) as good,
        listening(silent) as dead,
        httpx.AsyncClient(base_url=base_url, timeout=30) as client,
    ):
        for number in range(RECEIVERS):
            await register(client, f"{good}{number}")
        await one_round(client, arrivals, 5)
        for number in range(rounds):
            waits = {}
            # Each of the two is first as often as second: the machine changes meanwhile.
            for url in (good, dead) if number % 2 else (dead, good):
                endpoint = await register(client, f"{url}{ELEVENTH}")
                waits[url] = await one_round(client, arrivals, jobs)
                (await client.delete(f"/webhooks/{endpoint}")).raise_for_status()
            pairs.append((waits[good], waits[dead]))
    return pairs


async def register(client: httpx.AsyncClient, url: str) -> str:
    """The id of a new endpoint for the ends of jobs."""
    answered = await client.post("/webhooks", json={"url": url})
    return str(answered.raise_for_status().json()["id"])


def p99(waits_ms: list[float]) -> float:
    return statistics.quantiles(waits_ms, n=100)[98]


def change(alone_ms: list[float], beside_ms: list[float]) -> float:
    """Of the 99th percentile, in percent."""
    return 100 * (p99(beside_ms) / p99(alone_ms) - 1)


def show(name: str, waits_ms: list[float]) -> None:
    """Print a row."""
    p50, p95 = (statistics.quantiles(waits_ms, n=100)[at] for at in (49, 94))
    print(f"{name:<28}{len(waits_ms):>7}{p50:>9.0f}{p95:>9.0f}{p99(waits_ms):>9.0f}")


def main() -> None:
    """Measure and print a table and the change of the 99th percentile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="Pairs of rounds, at least 2.")
    parser.add_argument("--jobs", type=int, default=40, help="Jobs of a round.")
    arguments = parser.parse_args()
    os.environ["OPTIMIZED_TSP_WEBHOOK_ALLOW_HTTP"] = "true"
    os.environ["OPTIMIZED_TSP_WEBHOOK_ALLOWED_NETWORKS"] = "127.0.0.0/8"
    with service(workers=2) as running:
        pairs = asyncio.run(measure(running["base_url"], arguments.rounds, arguments.jobs))
    print(f"{'ms from event to arrival':<28}{'events':>7}{'p50':>9}{'p95':>9}{'p99':>9}")
    all_alone = [wait for alone, _ in pairs for wait in alone]
    all_beside = [wait for _, beside in pairs for wait in beside]
    show("beside a healthy eleventh", all_alone)
    show("beside a dead eleventh", all_beside)
    print(f"change of p99, all samples together: {change(all_alone, all_beside):+.1f} %")
    changes = [change(alone, beside) for alone, beside in pairs]
    low, middle, high = statistics.quantiles(changes, n=4)
    print(
        f"change of p99, median of {len(pairs)} pairs: {middle:+.1f} % "
        f"(half of them between {low:+.1f} % and {high:+.1f} %)"
    )


if __name__ == "__main__":
    main()

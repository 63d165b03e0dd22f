"""What readers that stopped reading cost the others: `make bench-stalled`.

Starts the whole service, connects healthy clients and others that subscribe and never read again,
and lets events of two kilobytes happen at a steady rate, so that the queues of the stalled fill.
Measured are the latency of terminal events at the healthy clients, how much the API's memory grows,
and how long a stalled connection lives. The baseline is the same without stalled readers.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import time
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
import psutil

from benchmarks.feed import Listeners, api_process, feed_metrics
from benchmarks.service import service
from benchmarks.throughput import percentile
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.events.bus import Bus

_PADDING = "x" * 2000
_EVENTS_OF_JOB = 4
_JOBS_A_SECOND = 10.0
_JOBS_A_LOOK = 10
_LONGEST_S = 150.0
_BASELINE_S = 30.0
_PATIENCE_S = 60.0
_HANDSHAKE = (
    "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_APPEND = """
    INSERT INTO events (job_id, seq, type, tenant_id, solver, version, tags, data)
    SELECT $1, n, CASE WHEN n < $2 THEN 'job.incumbent' ELSE 'job.completed' END, $3, 'tsp', 'v1',
           '{}', jsonb_build_object('padding', $4::text)
    FROM generate_series(1, $2) AS n
"""


@dataclass(frozen=True)
class Measured:
    """What the healthy saw (milliseconds), and what the stalled cost."""

    latencies_ms: list[float]
    missed: int
    grown_mib: float
    queue_kib: float
    """The longest queue of one client that was seen."""
    lived_s: list[float]
    """How long each stalled connection was there, from the first event on."""


def stall(port: int) -> socket.socket:
    """A connection that has subscribed, and that nobody reads from any more."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", port))
    raw.sendall(_HANDSHAKE.encode())
    message = orjson.dumps({"type": "subscribe"})
    # A short text frame as a client sends it, masked with zeros.
    raw.sendall(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
    received = b""
    while b'"subscribed"' not in received:
        received += raw.recv(256)
    return raw


def open_of(api: psutil.Process, stalled: list[socket.socket]) -> int:
    """How many of the stalled connections the API still has."""
    ours = {raw.getsockname()[1] for raw in stalled}
    return sum(bool(c.raddr) and c.raddr.port in ours for c in api.net_connections("tcp"))


async def happen(
    running: dict[str, Any], api: psutil.Process, stalled: list[socket.socket]
) -> tuple[int, float, float, list[float]]:
    """Events until the stalled are gone, without any for a while.

    Returns the jobs, the largest memory (MiB), the longest queue (bytes) and the lives.
    """
    bus = Bus(running["redis_url"])
    connection = await asyncpg.connect(running["database_url"])
    jobs, largest, longest, began = 0, 0.0, 0.0, time.monotonic()
    lives: list[float] = []
    longest_s = _LONGEST_S if stalled else _BASELINE_S
    try:
        while time.monotonic() - began < longest_s and (not stalled or len(lives) < len(stalled)):
            job_id = new_id()
            await connection.execute(_APPEND, job_id, _EVENTS_OF_JOB, DEFAULT_TENANT_ID, _PADDING)
            bus.announce(job_id)
            jobs += 1
            largest = max(largest, api.memory_info().rss / 2**20)
            if jobs % _JOBS_A_LOOK == 0:
                gone = len(stalled) - open_of(api, stalled)
                lives += [time.monotonic() - began] * (gone - len(lives))
                shown = await asyncio.to_thread(feed_metrics, running["base_url"])
                longest = max(longest, shown["longest_queue_bytes"])
            await asyncio.sleep(1 / _JOBS_A_SECOND)
    finally:
        await connection.close()
        await bus.close()
    return jobs, largest, longest, lives


def measure(clients: int, stalled: int) -> Measured:
    """A service of its own for every measurement."""
    with service(workers=1) as running:
        port = int(running["base_url"].rsplit(":", 1)[1])
        listeners = Listeners(port, clients)
        api = api_process(running["base_url"])
        silent = [stall(port) for _ in range(stalled)]
        before_mib = api.memory_info().rss / 2**20
        jobs, largest, longest, lives = asyncio.run(happen(running, api, silent))
        deadline = time.monotonic() + _PATIENCE_S
        while listeners.terminal_events() < jobs * clients and time.monotonic() < deadline:
            time.sleep(0.2)
        results = listeners.end()
        for raw in silent:
            raw.close()
    latencies = [ms for result in results for ms in result["latencies_ms"]]
    missed = jobs * clients - len(latencies)
    return Measured(latencies, missed, largest - before_mib, longest / 1024, lives)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--stalled", type=int, default=100)
    arguments = parser.parse_args()
    clients, stalled = arguments.clients, arguments.stalled
    base, beside = measure(clients, 0), measure(clients, stalled)
    print(f"{clients} clients read, {stalled} do not; terminal event to its arrival")
    print(
        f"{'stalled':>10}{'p50 ms':>10}{'p99 ms':>10}{'missed':>10}{'API grew MiB':>14}"
        f"{'longest queue KiB':>19}"
    )
    for count, one in ((0, base), (stalled, beside)):
        p50, p99 = statistics.median(one.latencies_ms), percentile(one.latencies_ms, 99)
        print(
            f"{count:>10}{p50:>10.1f}{p99:>10.1f}{one.missed:>10}{one.grown_mib:>14.0f}"
            f"{one.queue_kib:>19.0f}"
        )
    ratio = percentile(beside.latencies_ms, 99) / percentile(base.latencies_ms, 99)
    print(f"ratio of p99 of the healthy, with / without stalled: {ratio:.2f}")
    print(f"stalled connections gone: {len(beside.lived_s)} of {stalled}")
    if beside.lived_s:
        print(
            f"from the first event to their end: {min(beside.lived_s):.0f} to "
            f"{max(beside.lived_s):.0f} s (queues fill at "
            f"{_JOBS_A_SECOND * _EVENTS_OF_JOB * len(_PADDING) / 1000:.0f} kB a second)"
        )
    if base.missed or beside.missed or len(beside.lived_s) < stalled:
        raise SystemExit("a healthy client missed events, or a stalled one is still there")


if __name__ == "__main__":
    main()

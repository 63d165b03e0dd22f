"""How the feed serves very many clients: `make bench-feed`.

Starts the whole service with one API, connects the clients (in two processes), submits trivial jobs
at a steady rate, and takes the time from each terminal event's `at` to its arrival at every client.
The baseline is the same with ten clients. With `--restart` the API is killed in the middle: all
clients come back with their cursors, and must miss nothing and see nothing twice.

Latencies hold what the clients need to read, too, on the same machine. What is the API's own is
shown beside them: its CPU for each message, that of the clients, and how long the feed takes from
the first client to the last (`optimized_tsp_feed_hand_out_seconds`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from benchmarks.service import JOBS, TRIVIAL, service

_PATIENCE_S = 120.0
_BASELINE_CLIENTS = 10
_PROCESSES = 2


@dataclass(frozen=True)
class Result:
    """What the clients received. Times in milliseconds, memory of the API in MiB."""

    clients: int
    terminal_events: int
    expected: int
    latencies_ms: list[float]
    repeated: int
    skipped: int
    back_s: list[float]
    api_mib: float
    most_connections: int
    api_us: float | None
    """CPU of the API for each message, microseconds; None when it was killed meanwhile."""
    client_us: float
    restarted_ms: float | None
    """CPU of the killed API's successor for each client that came back, its start left out."""
    hand_outs: int
    hand_out_ms: float
    """How often events were handed out, and how long that took on average."""

    @property
    def p50(self) -> float:
        return statistics.median(self.latencies_ms)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.latencies_ms, n=100)[98]


class Listeners:
    """The processes with the clients."""

    def __init__(self, port: int, clients: int) -> None:
        each = [clients // _PROCESSES] * _PROCESSES
        each[0] += clients - sum(each)
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.feed_clients", str(port), str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for count in each
        ]
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise SystemExit("the clients could not connect")

    def terminal_events(self) -> int:
        """How many terminal events all clients got so far."""
        return sum(int(self._ask(process, "count")["terminal"]) for process in self._processes)

    def cpu_s(self) -> float:
        """What they have used so far."""
        return sum(cpu_s(psutil.Process(process.pid)) for process in self._processes)

    def end(self) -> list[dict[str, Any]]:
        """What they received; they are gone afterwards."""
        results = [self._ask(process, "end") for process in self._processes]
        for process in self._processes:
            process.communicate()
        return results

    @staticmethod
    def _ask(process: subprocess.Popen[str], question: str) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(question + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer


def measure(clients: int, jobs: int, rate: float, *, restart: bool) -> Result:
    """A service of its own for every measurement."""
    with service(workers=1) as running:
        base_url = running["base_url"]
        start_s = cpu_s(api_process(base_url))
        listeners = Listeners(int(base_url.rsplit(":", 1)[1]), clients)
        api_before, clients_before = cpu_s(api_process(base_url)), listeners.cpu_s()
        most = asyncio.run(_submit(running, base_url, jobs, rate, restart=restart))
        deadline = time.monotonic() + _PATIENCE_S
        while listeners.terminal_events() < jobs * clients and time.monotonic() < deadline:
            time.sleep(0.2)
        api = api_process(base_url)
        api_mib, api_s = api.memory_info().rss / 2**20, cpu_s(api)
        metrics = feed_metrics(base_url)
        clients_s = listeners.cpu_s() - clients_before
        results = listeners.end()
    messages = sum(result["events"] for result in results)
    return Result(
        clients=clients,
        terminal_events=sum(len(result["latencies_ms"]) for result in results),
        expected=jobs * clients,
        latencies_ms=[ms for result in results for ms in result["latencies_ms"]],
        repeated=sum(result["repeated"] for result in results),
        skipped=sum(result["skipped"] for result in results),
        back_s=[seconds for result in results for seconds in result["back_s"]],
        api_mib=api_mib,
        most_connections=most,
        api_us=None if restart else 1e6 * (api_s - api_before) / messages,
        restarted_ms=1e3 * (api_s - start_s) / clients if restart else None,
        client_us=1e6 * clients_s / messages,
        hand_outs=int(metrics["hand_out_seconds_count"]),
        hand_out_ms=1e3 * metrics["hand_out_seconds_sum"] / metrics["hand_out_seconds_count"],
    )


async def _submit(
    running: dict[str, Any], base_url: str, jobs: int, rate: float, *, restart: bool
) -> int:
    """Jobs at a steady rate; returns the most connections the API had to Postgres meanwhile."""
    most = 0
    postgres_port = int(running["database_url"].rsplit(":", 1)[1].split("/")[0])
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:
        for number in range(jobs):
            if restart and number == jobs // 2:
                api_process(base_url).kill()
            await _insist(client)
            most = max(most, _connections(base_url, postgres_port))
            await asyncio.sleep(1 / rate)
    return most


async def _insist(client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if (await client.post(JOBS, json=TRIVIAL)).status_code == httpx.codes.ACCEPTED:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    raise SystemExit("the service takes no jobs")


def cpu_s(process: psutil.Process) -> float:
    """The CPU a process has used, seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def feed_metrics(base_url: str) -> dict[str, float]:
    """What the API's `/metrics` tell of the feed, by what comes after `optimized_tsp_feed_`."""
    lines = httpx.get(f"{base_url}/metrics", timeout=30).text.splitlines()
    shown = [line.rsplit(" ", 1) for line in lines if line.startswith("optimized_tsp_feed_")]
    return {name.removeprefix("optimized_tsp_feed_"): float(value) for name, value in shown}


def api_process(base_url: str) -> psutil.Process:
    """The API's process, found by its port."""
    port = int(base_url.rsplit(":", 1)[1])
    for process in psutil.process_iter(["cmdline"]):
        if "serve" in (process.info["cmdline"] or []) and any(
            connection.laddr.port == port
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ):
            return process
    raise SystemExit("the API is not there")


def _connections(base_url: str, postgres_port: int) -> int:
    try:
        connections = api_process(base_url).net_connections("tcp")
    except (SystemExit, psutil.NoSuchProcess):
        return 0
    return sum(bool(c.raddr) and c.raddr.port == postgres_port for c in connections)


def show_cost(result: Result) -> None:
    api = "-" if result.api_us is None else f"{result.api_us:.1f}"
    print(
        f"{result.clients} clients: a message takes {api} us of CPU in the API and "
        f"{result.client_us:.1f} us in the clients; {result.hand_outs} times events were handed "
        f"out, {result.hand_out_ms:.1f} ms from the first client to the last"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--rate", type=float, default=1.0, help="jobs a second")
    parser.add_argument("--restart", action="store_true", help="kill the API in the middle")
    arguments = parser.parse_args()
    few = measure(_BASELINE_CLIENTS, arguments.jobs, arguments.rate, restart=False)
    many = measure(arguments.clients, arguments.jobs, arguments.rate, restart=arguments.restart)
    print(f"{arguments.jobs} jobs at {arguments.rate:g} a second; terminal event to its arrival")
    print(
        f"{'clients':>10}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}{'received':>22}{'API MiB':>9}"
    )
    for result in (few, many):
        received = f"{result.terminal_events} of {result.expected}"
        print(
            f"{result.clients:>10}{result.p50:>10.1f}{result.p99:>10.1f}"
            f"{max(result.latencies_ms):>10.1f}{received:>22}{result.api_mib:>9.0f}"
        )
    for result in (few, many):
        show_cost(result)
    print(f"ratio of p99, {many.clients} / {few.clients} clients: {many.p99 / few.p99:.1f}")
    print(f"events skipped {many.skipped}, seen twice {many.repeated}")
    print(f"most connections of the API to Postgres: {many.most_connections}")
    if many.back_s:
        last = statistics.quantiles(many.back_s, n=100)[98]
        print(f"back after the kill: p50 {statistics.median(many.back_s):.1f} s, p99 {last:.1f} s")
        print(f"CPU of the API after that for each client: {many.restarted_ms:.2f} ms")
    if many.skipped or many.repeated or many.terminal_events != many.expected:
        raise SystemExit("the feed lost or doubled events")


if __name__ == "__main__":
    main()

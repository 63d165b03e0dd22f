"""Solves the bundled example through a running service, as any client would, and shows it live.

`up` runs it as a program of its own: `python -m optimized_tsp.cli.demo http://127.0.0.1:8000`.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.live import Live
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from optimized_tsp.cli.progress import SolveProgress
from optimized_tsp.solvers.contract import Example
from optimized_tsp.solvers.process import Progress
from optimized_tsp.solvers.tsp import TspSolver

__all__ = ["main"]

_PREFIX = f"/{TspSolver.name}_solver/{TspSolver.version}"
_TIMEOUT_S = 10.0
_PATIENCE_S = 30.0  # beyond the job's own time limit: waiting for a worker to start
_SHOWN_STOPS = 12
_REFRESH_HZ = 10
_TERMINAL = frozenset({"job.completed", "job.failed", "job.cancelled"})


class DemoFailed(Exception):
    """The example could not be solved; the message says why."""


def main() -> None:
    """Entry point; exit status 0 when the example was solved."""
    # So that the terminal gets its cursor back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _solve(sys.argv[1])
    except (DemoFailed, httpx.HTTPError, WebSocketException, OSError) as error:
        sys.exit(f"example: {error or type(error).__name__}")


def _solve(api_url: str) -> None:
    example = TspSolver().examples()[0]
    sys.stderr.write(f"{example.description}\n")
    live_url = f"ws{api_url.removeprefix('http')}{_PREFIX}/live"
    with (
        httpx.Client(base_url=api_url + _PREFIX, timeout=_TIMEOUT_S) as api,
        connect(live_url, open_timeout=_TIMEOUT_S) as feed,
    ):
        # Before the job exists, so that no event of it is missed.
        feed.send('{"type":"subscribe"}')
        next(_frames(feed, "subscribed", _TIMEOUT_S))
        task_id, timeout_s = _submit(api, example)
        end = _watch(feed, task_id, title=example.submission["name"], timeout_s=timeout_s)
        if end["type"] != "job.completed":
            raise DemoFailed(f"job {task_id}: {end['data'].get('error') or end['type']}")
        solution = api.get(f"/jobs/{task_id}/solution").raise_for_status().json()
    sys.stdout.write("\n".join(_summary(example, solution, end["data"])) + "\n")
    sys.stdout.write(f"Solution: {api_url}{_PREFIX}/jobs/{task_id}/solution\n")


def _submit(api: httpx.Client, example: Example) -> tuple[str, float]:
    answer = api.post("/jobs", json=example.submission)
    if answer.is_error:
        raise DemoFailed(f"the job was refused with {answer.status_code}: {answer.text}")
    job = answer.json()
    return job["task_id"], job["timeout"]


def _watch(feed: ClientConnection, task_id: str, *, title: str, timeout_s: float) -> dict[str, Any]:
    """Show the job's events until the last one, which is returned."""
    console = Console(stderr=True)
    progress = SolveProgress(title, time_limit_s=timeout_s)
    with _shown(progress, console):
        for frame in _frames(feed, "event", timeout_s + _PATIENCE_S):
            event: dict[str, Any] = frame["event"]
            if event["task_id"] != task_id:
                continue
            data = event["data"]
            if data.get("cost") is not None or data.get("lower_bound") is not None:
                seen = Progress(
                    solution=None,
                    cost=data["cost"],
                    lower_bound=data["lower_bound"],
                    elapsed_s=data["elapsed"],
                    improved=event["type"] == "job.incumbent",
                )
                progress.update(seen)
                if not console.is_terminal:
                    console.print(progress.line(seen))
            if event["type"] in _TERMINAL:
                return event
    raise DemoFailed(f"the feed ended before job {task_id} did")


@contextmanager
def _shown(progress: SolveProgress, console: Console) -> Iterator[None]:
    if not console.is_terminal:
        yield
        return
    with Live(progress, console=console, refresh_per_second=_REFRESH_HZ):
        yield


def _frames(feed: ClientConnection, kind: str, patience_s: float) -> Iterator[dict[str, Any]]:
    """The feed's messages of one type as they come, for at most so many seconds."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            frame = orjson.loads(feed.recv(timeout=deadline - time.monotonic()))
        except TimeoutError:
            raise DemoFailed(f"the feed was silent for {patience_s:g} s") from None
        if frame["type"] == "ping":
            feed.send('{"type":"pong"}')
        elif frame["type"] == "error":
            raise DemoFailed(f"the feed says: {frame['error']['detail']}")
        elif frame["type"] == kind:
            yield frame


def _summary(example: Example, solution: dict[str, Any], end: dict[str, Any]) -> Iterator[str]:
    cost, bound, gap = solution["cost"], solution["lower_bound"], solution["gap"]
    proven = "proven optimal" if solution["solution_status"] == "optimal" else "best found"
    known = "" if gap is None else f", lower bound {bound:,}, gap {gap:.2%}"
    name = example.submission["name"]
    yield f"{name}: the tour costs {cost:,} ({proven}{known}) after {end['elapsed']:.1f} s"
    stops = [example.labels[node] for node in solution["node_order"]] if example.labels else []
    if stops:
        more = f" and {len(stops) - _SHOWN_STOPS} more" if len(stops) > _SHOWN_STOPS else ""
        yield f"{' - '.join(stops[:_SHOWN_STOPS])}{more}"
    yield f"Data: {example.attribution}"


if __name__ == "__main__":
    main()

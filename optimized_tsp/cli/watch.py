"""Watching a job to its end: two rows on a terminal, lines in a log, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from rich.console import Console

from optimized_tsp.cli.address import Address
from optimized_tsp.cli.client import Job, Service
from optimized_tsp.cli.exit_codes import ExitCode, complain
from optimized_tsp.cli.follow import Follower
from optimized_tsp.cli.progress import SolveProgress, shown_live
from optimized_tsp.cli.tables import printable
from optimized_tsp.events.types import TERMINAL_EVENTS, EventType
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.solvers.process import Progress

__all__ = ["detached", "end_code", "run_watch", "summary", "watch_to_end"]

Hear = Callable[[dict[str, Any]], None]

_PROGRESS = frozenset({EventType.INCUMBENT, EventType.BOUND})


def run_watch(address: Address, task_id: UUID, *, wait_s: float | None, as_json: bool) -> ExitCode:
    """`optimized-tsp watch ID`."""
    try:
        with Service(address) as service:
            job = service.find_job(task_id)
            if as_json:
                end = watch_to_end(service, job, wait_s=wait_s, quiet=True, hear=_print_event)
            else:
                end = watch_to_end(service, job, wait_s=wait_s)
                sys.stdout.write("\n".join(summary(service, end)) + "\n")
    except KeyboardInterrupt:
        return detached(address.command(f"watch {task_id}"))
    return end_code(end)


def watch_to_end(
    service: Service,
    job: Job,
    *,
    title: str | None = None,
    wait_s: float | None = None,
    quiet: bool = False,
    history: bool = False,
    hear: Hear | None = None,
) -> Job:
    """Follow a job to its end; returns its status with what the last event says.

    Shows progress on stderr, unless `quiet`, and gives every event to `hear`; with `history` a
    terminal keeps a line of each better tour and bound. Raises `WaitTimedOut`, `Rejected`,
    `Unreachable`.
    """
    screen = _Screen(job, title=title, quiet=quiet, history=history)
    end = dict(job)
    with screen.shown():
        for event in Follower(service, job, say=screen.say, wait_s=wait_s):
            screen.show(event)
            if hear is not None:
                hear(event)
            if event["type"] in TERMINAL_EVENTS:
                end |= event["data"]
    return end


def detached(again: str) -> ExitCode:
    """Say after Ctrl-C by which command to go on watching."""
    complain(f"detached, the job goes on. Watch it again with: {again}")
    return ExitCode.INTERRUPTED


def end_code(job: Job) -> ExitCode:
    """What the end of a job means as an exit code."""
    if job["status"] == JobStatus.FAILED:
        return ExitCode.JOB_FAILED
    if job["status"] == JobStatus.CANCELLED:
        return ExitCode.CANCELLED
    return ExitCode.NO_SOLUTION if job["is_infeasible"] else ExitCode.OK


def summary(service: Service, job: Job) -> Iterator[str]:
    """How a job ended, in a few lines."""
    known = [job[name] for name in ("solution_status", "stop_reason") if job[name]]
    yield f"job          {job['task_id']}"
    yield f"status       {job['status']} ({', '.join(known)})"
    if job["is_infeasible"]:
        yield f"why          {why_infeasible(service, job)}"
    if job["error"]:
        yield f"why          {printable(job['error'])}"
    if job["cost"] is not None:
        yield f"cost         {job['cost']:,}"
    if job["lower_bound"] is not None:
        yield f"lower bound  {job['lower_bound']:,}"
    if job["gap"] is not None:
        yield f"gap          {job['gap']:.4%}"
    if "elapsed" in job:
        yield f"time         {job['elapsed']:.2f} s"


def why_infeasible(service: Service, job: Job) -> str:
    """The certificate's sentence for a person."""
    answer: dict[str, Any] = service.solution(job, "application/json").json()
    return printable((answer["infeasibility"] or {"message": "no reason was given"})["message"])


class _Screen:
    """Progress of one job on stderr: two live rows on a terminal, else a line per event."""

    def __init__(self, job: Job, *, title: str | None, quiet: bool, history: bool) -> None:
        self._quiet = quiet
        self._history = history
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._progress = SolveProgress(
            title or job["name"] or job["task_id"], time_limit_s=job["timeout"], waiting=True
        )

    def shown(self) -> AbstractContextManager[None]:
        """Keeps the rows on the terminal while the block runs."""
        return nullcontext() if self._quiet else shown_live(self._progress, self._console)

    def say(self, message: str) -> None:
        """A message above the rows."""
        self._console.print(f"optimized-tsp: {message}")

    def show(self, event: dict[str, Any]) -> None:
        """Take in an event."""
        kind, elapsed_s = event["type"], event["data"].get("elapsed")
        line = kind.removeprefix("job.")
        if elapsed_s is not None:
            line = f"{elapsed_s:8.2f} s  {line}"
        if event["data"].get("attempt", 1) > 1:
            line += f", attempt {event['data']['attempt']}"
        if kind == EventType.STARTED:
            self._progress.start(_age_s(event))
        elif kind in _PROGRESS:
            seen = _progress_of(event)
            self._progress.start(seen.elapsed_s + _age_s(event))
            self._progress.update(seen)
            line = self._progress.line(seen)
        kept = not self._console.is_terminal or (self._history and kind in _PROGRESS)
        if kept and not self._quiet:
            self._console.print(line)


def _progress_of(event: dict[str, Any]) -> Progress:
    data = event["data"]
    return Progress(
        solution=None,
        cost=data["cost"],
        lower_bound=data["lower_bound"],
        elapsed_s=data["elapsed"],
        improved=event["type"] == EventType.INCUMBENT,
    )


def _age_s(event: dict[str, Any]) -> float:
    """How long ago it happened, as far as the two clocks agree."""
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(event["at"])).total_seconds())


def _print_event(event: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(event).decode() + "\n")
    sys.stdout.flush()

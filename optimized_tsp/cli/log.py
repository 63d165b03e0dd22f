"""`optimized-tsp log`: what a job's solver said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson

from optimized_tsp.cli.address import Address
from optimized_tsp.cli.client import Service
from optimized_tsp.cli.exit_codes import ExitCode, complain
from optimized_tsp.cli.follow import FollowedLog, Follower
from optimized_tsp.cli.tables import printable
from optimized_tsp.cli.watch import detached, end_code
from optimized_tsp.events.types import TERMINAL_EVENTS

__all__ = ["run_follow_log", "run_log"]


def run_log(address: Address, task_id: UUID, *, after: int, as_json: bool) -> ExitCode:
    """Print the lines of a job's log behind line `after`, as text or one JSON object."""
    with Service(address) as service:
        pages = list(service.log(service.find_job(task_id), after=after))
    lines = [line for page in pages for line in page["lines"]]
    if as_json:
        sys.stdout.write(orjson.dumps({**pages[-1], "lines": lines}).decode() + "\n")
        return ExitCode.OK
    sys.stdout.writelines(map(_text, lines))
    if not pages[-1]["complete"]:
        last = lines[-1]["line"] if lines else after
        again = address.command(f"log {task_id} --after {last}")
        complain(f"the job goes on; read on with `{again}`")
    return ExitCode.OK


def run_follow_log(
    address: Address, task_id: UUID, *, after: int, wait_s: float | None, as_json: bool
) -> ExitCode:
    """Print the lines behind line `after`, and those that come, until the job has ended.

    As text, or as a JSON object per line.
    """

    def again() -> str:
        return address.command(f"log {task_id} --follow --after {log.after}")

    log = FollowedLog(after, sys.stdout, _json if as_json else _text)
    try:
        with Service(address) as service:
            job = end = service.find_job(task_id)
            for event in Follower(service, job, say=complain, wait_s=wait_s, log=log, again=again):
                if event["type"] in TERMINAL_EVENTS:
                    end = job | event["data"]
            for page in service.log(job, after=log.after):
                log.take(page["lines"])
    except KeyboardInterrupt:
        return detached(again())
    return end_code(end)


def _json(line: dict[str, Any]) -> str:
    return orjson.dumps(line).decode() + "\n"


def _text(line: dict[str, Any]) -> str:
    return "".join(text + "\n" for text in _texts(line))


def _texts(line: dict[str, Any]) -> Iterator[str]:
    """A line of the log with its time; what a message says on further lines stands below it."""
    level = "" if line["level"] == "info" else f"{line['level']}: "
    first, *others = line["message"].splitlines() or [""]
    yield f"{line['elapsed']:10.3f}  {level}{printable(first)}"
    for other in others:
        yield f"{'':10}  {printable(other)}"

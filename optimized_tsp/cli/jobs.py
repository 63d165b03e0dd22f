"""`optimized-tsp jobs | show | cancel | result`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson

from optimized_tsp.cli.address import Address
from optimized_tsp.cli.client import Job, Rejected, Service, job_path
from optimized_tsp.cli.exit_codes import CommandError, ExitCode, complain
from optimized_tsp.cli.formats import ResultFormat
from optimized_tsp.cli.tables import Column, age, lay_out, moment, printable, terminal_width
from optimized_tsp.cli.watch import why_infeasible
from optimized_tsp.jobs.states import ACTIVE, TERMINAL

__all__ = ["run_cancel", "run_jobs", "run_result", "run_show"]

_PAGE = 200
_COLUMNS = (
    Column("JOB"),
    Column("STATUS"),
    Column("COST", right=True),
    Column("GAP", right=True, droppable=True),
    Column("AGE", right=True, droppable=True),
    Column("NAME", least=8),
)


def run_jobs(
    address: Address,
    *,
    solver: str,
    filters: list[tuple[str, str]],
    limit: int | None,
    as_json: bool,
) -> ExitCode:
    """Print jobs, newest first, as a table or one JSON array; `limit` None prints all."""
    page = _PAGE if limit is None else min(limit + 1, _PAGE)
    with Service(address) as service:
        found = service.jobs(service.solver(solver)["jobs"], [*filters, ("limit", str(page))])
        jobs = list(islice(found, None if limit is None else limit + 1))
    if limit is not None and len(jobs) > limit:
        jobs.pop()
        complain(f"these are the newest {limit}; see more with --limit N or --all")
    if as_json:
        _print_json(jobs)
    elif jobs:
        now = datetime.now(UTC)
        table = lay_out(_COLUMNS, [_row(job, now) for job in jobs], terminal_width())
        sys.stdout.write("\n".join(table) + "\n")
    else:
        complain("no jobs" + (" match" if filters else " yet; post one with `submit FILE`"))
    return ExitCode.OK


def run_show(address: Address, task_id: UUID, *, as_json: bool) -> ExitCode:
    """Print a job's status."""
    with Service(address) as service:
        job = service.find_job(task_id)
        if as_json:
            _print_json(job)
        else:
            sys.stdout.write("\n".join(_facts(service, job)) + "\n")
    return ExitCode.OK


def run_cancel(address: Address, task_id: UUID, *, as_json: bool) -> ExitCode:
    """Cancel a job; one that has ended stays as it is."""
    with Service(address) as service:
        job = service.cancel(service.find_job(task_id))
    if as_json:
        _print_json(job)
        return ExitCode.OK
    sys.stdout.write(f"{job['status']}\n")
    if job["status"] in ACTIVE:
        complain("it was asked to stop, and keeps its best solution")
    return ExitCode.OK


def run_result(
    address: Address, task_id: UUID, *, form: ResultFormat, output: Path | None
) -> ExitCode:
    """Print or write the best solution so far, as the service gives it."""
    with Service(address) as service:
        job = service.find_job(task_id)
        if job["is_infeasible"] and form is not ResultFormat.JSON:
            raise CommandError(
                f"there is no solution: {why_infeasible(service, job)}", ExitCode.NO_SOLUTION
            )
        content = _solution(service, job, form)
    if output is None:
        sys.stdout.buffer.write(content if content.endswith(b"\n") else content + b"\n")
    else:
        _write(output, content)
    if job["status"] not in TERMINAL:
        complain("the job goes on: this is its best solution so far")
    return ExitCode.NO_SOLUTION if job["is_infeasible"] else ExitCode.OK


def _solution(service: Service, job: Job, form: ResultFormat) -> bytes:
    try:
        answer = service.solution(job, form.media_type)
    except Rejected as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        service.job(job_path(job))  # removed in the meantime: that is another answer
        message = error.message.partition(": ")[2]
        raise CommandError(message, ExitCode.NO_SOLUTION) from None
    if answer.headers.get("content-type", "").partition(";")[0] != form.media_type:
        raise CommandError(
            f"this service does not give solutions as {form}; use --format json",
            ExitCode.REJECTED,
        )
    return answer.content


def _write(output: Path, content: bytes) -> None:
    try:
        output.write_bytes(content)
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}", ExitCode.ERROR) from None
    complain(f"written to {output}")


def _row(job: Job, now: datetime) -> list[str]:
    return [
        job["task_id"],
        job["status"],
        "infeasible" if job["is_infeasible"] else _number(job["cost"]) or "",
        "" if job["gap"] is None else f"{job['gap']:.1%}",
        age(job["submitted_at"], now),
        job["name"] or "",
    ]


def _facts(service: Service, job: Job) -> Iterator[str]:
    """What is known about a job, a line each."""
    infeasible = job["is_infeasible"]
    known = {
        "job": job["task_id"],
        "name": job["name"],
        "tags": ", ".join(f"{key}={value}" for key, value in job["tags"].items()),
        "solver": f"{job['solver']}/{job['version']}",
        "status": job["status"] + (" (asked to stop)" if _is_stopping(job) else ""),
        "in the queue": job["queue_position"],
        "result": " ".join(job[name] for name in ("solution_status", "stop_reason") if job[name]),
        "why": why_infeasible(service, job) if infeasible else job["error"],
        "warning": "; ".join(warning["message"] for warning in job.get("warnings", [])),
        "cost": _number(job["cost"]),
        "lower bound": _number(job["lower_bound"]),
        "gap": None if job["gap"] is None else f"{job['gap']:.4%}",
        "progress": f"{job['progress']:.0%}",
        "time limit": f"{job['timeout']:g} s",
        "attempt": job["attempt"],
        "submitted": moment(job["submitted_at"]),
        "started": moment(job["started_at"]),
        "completed": moment(job["completed_at"]),
    }
    for label, value in known.items():
        if value is not None and value != "":
            yield f"{label:<12} {printable(str(value))}"


def _is_stopping(job: Job) -> bool:
    return job["cancel_requested"] and job["status"] in ACTIVE


def _number(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value).decode() + "\n")

"""A job's log: what its solver and its workers said of it, line by line, at most 1 MiB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import insert, select

from optimized_tsp.core.database import ReadSession, WriteSession
from optimized_tsp.core.errors import Gone
from optimized_tsp.jobs.leases import Claim, locked
from optimized_tsp.jobs.models import Job, LogLine
from optimized_tsp.jobs.repository import Scope, no_job
from optimized_tsp.jobs.states import TERMINAL, JobStatus
from optimized_tsp.solvers.process import LOG_BYTES, log_line_bytes

__all__ = [
    "LogLineView",
    "LogView",
    "NewLine",
    "append_lines",
    "find_log",
    "rows_of_lines",
    "write_lines",
]

# Kept free for what workers say: how a job ended is told even if its solver talked too much.
_RESERVED_BYTES = 16 * 1024
_FULL = "The log ends here: it has reached 1 MiB. Later lines of the solver are missing."


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line to be stored. `elapsed_s` counts solving time over all runs of the job.

    `truncated` says that more was said after it that nobody kept; `by_worker` that it is not the
    solver's own.
    """

    elapsed_s: float
    level: str
    message: str
    truncated: bool = False
    by_worker: bool = False


class LogLineView(BaseModel):
    """One line of a job's log."""

    line: int = Field(description="1, 2, 3 …; give the last one as `after` to read on.")
    at: datetime = Field(description="When it was stored.")
    attempt: int = Field(description="Which run of the job said it.")
    elapsed: float = Field(description="Seconds of solving until then, over all runs.")
    level: str = Field(description="`debug`, `info`, `warning`, `error` or `critical`.")
    message: str


class LogView(BaseModel):
    """A part of a job's log."""

    lines: list[LogLineView]
    truncated: bool = Field(description="The solver said more than is kept (1 MiB).")
    complete: bool = Field(description="The job has ended, and these lines are the last.")


async def append_lines(
    session: WriteSession, claim: Claim, lines: Sequence[NewLine], *, after: int
) -> int:
    """Store what a run said behind line `after`; returns the number of the last line.

    Safe to repeat: where `after` is not the last line, the same call got through before. Raises
    `LeaseLost`.
    """
    job = await locked(session, claim)
    if job.log_lines == after:
        await write_lines(session, job, lines)
    return job.log_lines


async def write_lines(session: WriteSession, job: Job, lines: Sequence[NewLine]) -> None:
    """Add lines to the log of a locked job, as far as there is room."""
    rows = rows_of_lines(job, lines)
    if rows:
        await session.execute(insert(LogLine), rows)


def rows_of_lines(job: Job, lines: Sequence[NewLine]) -> list[dict[str, Any]]:
    """The lines there is room for, as rows of the table; the job counts them as written."""
    rows: list[dict[str, Any]] = []
    for line in lines:
        full = LOG_BYTES if line.by_worker else LOG_BYTES - _RESERVED_BYTES
        fits = job.log_bytes + log_line_bytes(line.message) <= full
        if fits:
            rows.append(_row(job, line))
        if (line.truncated or not fits) and not job.log_truncated:
            job.log_truncated = True
            rows.append(_row(job, NewLine(line.elapsed_s, "warning", _FULL)))
    return rows


def _row(job: Job, line: NewLine) -> dict[str, Any]:
    job.log_lines += 1
    job.log_bytes += log_line_bytes(line.message)
    return {
        "job_id": str(job.id),
        "line": job.log_lines,
        "attempt": job.attempt,
        "elapsed_s": line.elapsed_s,
        "level": line.level,
        "message": line.message,
    }


async def find_log(
    session: ReadSession, scope: Scope, job_id: UUID, *, after: int, limit: int
) -> LogView:
    """Up to `limit` lines behind line `after`; raises `NotFound`, and `Gone` when pruned."""
    query = select(Job.status, Job.log_lines, Job.log_truncated)
    job = (await session.execute(query.where(Job.id == job_id, *scope.conditions()))).first()
    if job is None:
        raise no_job(job_id)
    rows = await session.scalars(
        select(LogLine)
        .where(LogLine.job_id == job_id, LogLine.line > after)
        .order_by(LogLine.line)
        .limit(limit)
    )
    lines = [_view(row) for row in rows]
    first = lines[0].line if lines else job.log_lines + 1
    if first > after + 1:
        raise Gone(
            "The beginning of this log was removed, as old logs are (docs/operations.md).",
            oldest=first - 1,
        )
    last = lines[-1].line if lines else after
    return LogView(
        lines=lines,
        truncated=job.log_truncated,
        complete=JobStatus(job.status) in TERMINAL and last >= job.log_lines,
    )


def _view(row: LogLine) -> LogLineView:
    return LogLineView(
        line=row.line,
        at=row.at,
        attempt=row.attempt,
        elapsed=round(row.elapsed_s, 6),
        level=row.level,
        message=row.message,
    )

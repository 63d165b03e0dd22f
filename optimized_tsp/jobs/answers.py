"""The transaction that ends most jobs: an answer, merged with what was known, in two statements.

Rows are read with the lock, changed here, and written together by one statement. The session's own
way of writing objects costs several round trips and most of the time of a small job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Table, TextClause, bindparam, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from optimized_tsp.core.database import WriteSession
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.leases import Claim, LeaseLost
from optimized_tsp.jobs.logs import NewLine, rows_of_lines
from optimized_tsp.jobs.models import Incumbent, Job, LogLine, Solution
from optimized_tsp.jobs.outcomes import Progress, ending, standing
from optimized_tsp.jobs.solutions import explain, improve, raise_bound
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.jobs.transitions import Happened, next_events, used_s
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.webhooks.outbox import EVENTS_OF_PARAMETER, appending

__all__ = ["Answer", "finish"]

NO_SOLUTION_IN_TIME = (
    "The time limit was reached before any solution was found; "
    "allow more time with optimization_parameters.timeout."
)

# What the end of a run changes of a job.
_OF_JOB = (
    *("status", "solution_status", "stop_reason", "error", "completed_at"),
    *("run_started_at", "run_time_s", "lease_until", "leased_by"),
    *("last_seq", "log_lines", "log_bytes", "log_truncated"),
)
_OF_POINT = ("job_id", "attempt", "elapsed_s", "cost", "lower_bound", "gap")
_OF_LINE = ("job_id", "line", "attempt", "elapsed_s", "level", "message")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a run ended, checked; `solution` as in `Progress`."""

    solution_status: SolutionStatus
    stop_reason: StopReason
    solution: dict[str, Any] | None
    lower_bound: int | None
    infeasibility: dict[str, Any] | None
    statistics: dict[str, Any] | None
    elapsed_s: float


async def finish(
    session: WriteSession,
    claim: Claim,
    answer: Answer,
    *,
    first: Progress | None = None,
    log: Sequence[NewLine] = (),
) -> JobStatus:
    """End the job with an answer; the better of it and what is stored already is kept.

    `first` is the run's first progress, when it is not stored yet; `log` the last lines of the
    run's log. Raises `LeaseLost`.
    """
    job, row, run_time_s, now = await _read(session, claim)
    happened, points = [], []
    if first is not None and (event := _take(row, first)) is not None:
        happened.append(Happened(job, event, standing(row, first.elapsed_s)))
        points.append(_point(job, row, first.elapsed_s))
    if _take(row, answer) is not None:
        points.append(_point(job, row, answer.elapsed_s))
    row.infeasibility = answer.infeasibility
    explain(row, answer.statistics)
    lines = rows_of_lines(job, log)
    target, status, reason = _verdict(row, answer)
    if target is JobStatus.FAILED:
        job.error = NO_SOLUTION_IN_TIME
    end = (job, row, target, status, reason, answer.elapsed_s)
    happened.append(ending(*end, at=now, run_time_s=run_time_s))
    events = [event.row() for event in next_events(*happened)]  # first: the job counts them
    job_id = {"id": str(job.id), "job_id": str(job.id)}
    parameters = {
        "job": {name: getattr(job, name) for name in _OF_JOB} | job_id,
        "solution": {name: getattr(row, name) for name in _solution_columns()} | job_id,
        "points": points,
        "lines": lines,
        "events": events,
    }
    await session.execute(_write(), parameters)
    return target


async def _read(session: WriteSession, claim: Claim) -> tuple[Job, Solution, float, datetime]:
    """The job, locked, and its solution, for `_write` and not the session to write.

    Then the solving time of all its runs and the time, by the database's clock.
    """
    rows = await session.execute(
        _locked_with_solution(), {"job_id": claim.job_id, "fence": claim.fence}
    )
    found = rows.first()
    if found is None:
        raise LeaseLost
    job, row, run_time_s, now = found
    session.expunge(job)
    if row is None:
        return job, Solution(job_id=job.id, final=False), run_time_s, now
    session.expunge(row)
    return job, row, run_time_s, now


def _take(row: Solution, news: Progress | Answer) -> EventType | None:
    """Merge a solution and a bound into the row; what there is to be told of, if anything."""
    better = news.solution is not None and improve(row, news.solution, elapsed_s=news.elapsed_s)
    raised = raise_bound(row, news.lower_bound)
    if better:
        return EventType.INCUMBENT
    return EventType.BOUND if raised else None


def _verdict(row: Solution, answer: Answer) -> tuple[JobStatus, SolutionStatus, StopReason]:
    """What is known once the answer is merged with what earlier runs had stored."""
    status, reason = answer.solution_status, answer.stop_reason
    if status is SolutionStatus.INFEASIBLE:
        reason = StopReason.PROVEN
    elif row.cost is None:
        status = SolutionStatus.UNKNOWN
    elif row.cost == row.lower_bound:
        status, reason = SolutionStatus.OPTIMAL, StopReason.PROVEN
    else:
        status = SolutionStatus.FEASIBLE
    if reason is StopReason.CANCELLED:
        return JobStatus.CANCELLED, status, reason
    if status is SolutionStatus.UNKNOWN:
        return JobStatus.FAILED, status, reason
    return JobStatus.COMPLETED, status, reason


def _point(job: Job, row: Solution, elapsed_s: float) -> dict[str, Any]:
    """A point of the anytime curve, as JSON has it."""
    return {
        "job_id": str(job.id),
        "attempt": job.attempt,
        "elapsed_s": elapsed_s,
        "cost": row.cost,
        "lower_bound": row.lower_bound,
        "gap": row.gap,
    }


@cache
def _locked_with_solution() -> Any:
    return (
        select(Job, Solution, used_s(), func.now())
        .outerjoin(Solution, Solution.job_id == Job.id)
        .where(Job.id == bindparam("job_id"), Job.fence == bindparam("fence"))
        .where(Job.status == JobStatus.RUNNING.value)
        .with_for_update(of=Job)
    )


@cache
def _solution_columns() -> list[str]:
    given = {"updated_at", "pruned_at"}
    return [column.name for column in _table(Solution).columns if column.name not in given]


@cache
def _write() -> TextClause:
    """One statement for all that belongs to the end of a run; its parameters are JSON."""
    job = ", ".join(f"{name} = new.{name}" for name in _OF_JOB)
    solution = _solution_columns()
    better = ", ".join(f"{name} = excluded.{name}" for name in solution if name != "job_id")
    point, line = ", ".join(_OF_POINT), ", ".join(_OF_LINE)
    return text(
        f"""
        WITH job AS (
            UPDATE jobs SET {job}
            FROM jsonb_to_record(:job) AS new ({_typed(Job, ("id", *_OF_JOB))})
            WHERE jobs.id = new.id
        ), solution AS (
            INSERT INTO solutions ({", ".join(solution)})
            SELECT * FROM jsonb_to_record(:solution) AS new ({_typed(Solution, solution)})
            ON CONFLICT (job_id) DO UPDATE SET {better}, updated_at = now()
        ), points AS (
            INSERT INTO incumbents ({point})
            SELECT * FROM jsonb_to_recordset(:points) AS new ({_typed(Incumbent, _OF_POINT)})
        ), lines AS (
            INSERT INTO job_logs ({line})
            SELECT * FROM jsonb_to_recordset(:lines) AS new ({_typed(LogLine, _OF_LINE)})
        ), {appending(EVENTS_OF_PARAMETER)}
        SELECT
        """  # noqa: S608 - names of columns
    ).bindparams(
        *(bindparam(name, type_=JSONB()) for name in ("job", "solution", "points", "lines")),
        bindparam("events", type_=JSONB()),
    )


def _typed(model: type[Any], names: Sequence[str]) -> str:
    columns, dialect = _table(model).columns, postgresql.dialect()  # type: ignore[no-untyped-call]
    return ", ".join(f"{name} {columns[name].type.compile(dialect)}" for name in names)


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table

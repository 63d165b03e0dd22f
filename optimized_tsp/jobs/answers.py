"""The transaction that ends most jobs: an answer, merged with what was known.

All that is written is one statement. Where the run has stored nothing before, it is all there is:
the claim said what is known, and the statement does nothing unless that still holds. It can claim
the next job as well. Otherwise rows are read with the lock first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Table, TextClause, bindparam, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.jobs.leases import (
    CLAIM_TYPES,
    CLAIMED,
    STARTED,
    Claim,
    Claimant,
    LeaseLost,
    claim_of,
    claiming,
    is_mine,
)
from optimized_tsp.jobs.logs import NewLine, rows_of_lines
from optimized_tsp.jobs.models import Incumbent, Job, LogLine, Solution
from optimized_tsp.jobs.outcomes import Progress, ending, standing
from optimized_tsp.jobs.solutions import curve_point, explain, merge
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.jobs.transitions import Happened, next_events
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.webhooks.outbox import EVENTS_OF_PARAMETER, appending

__all__ = ["Answer", "Ended", "finish", "finish_and_claim"]

NO_SOLUTION_IN_TIME = (
    "The time limit was reached before any solution was found; "
    "allow more time with optimization_parameters.timeout."
)

# What the end of a run changes of a job, beside what the statement says itself.
_OF_JOB = (
    *("status", "solution_status", "stop_reason", "error", "run_time_s"),
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


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a job, and the job that was claimed with that, if any."""

    status: JobStatus
    following: Claim | None


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
    job, row = await _read(session, claim)
    status, parameters = _merge(claim, job, row, answer, first, log)
    written = await session.execute(_write(taking_next=False), parameters)
    if written.first() is None:
        raise LeaseLost
    return status


async def finish_and_claim(
    database: Database,
    claim: Claim,
    answer: Answer,
    *,
    first: Progress | None = None,
    log: Sequence[NewLine] = (),
    claimant: Claimant | None = None,
) -> Ended | None:
    """As `finish`, in one round trip; `claimant` takes the next job with it.

    None, and nothing is done, unless everything is as the claim found it.
    """
    if claim.resumed:
        return None
    job, row = Job(**claim.job), Solution(job_id=claim.job_id, final=False)
    status, parameters = _merge(claim, job, row, answer, first, log)
    if claimant is None:
        rows = await database.alone(_write(taking_next=False), parameters)
        return Ended(status, None) if rows else None
    rows = await database.alone(_write(taking_next=True), parameters | claimant.parameters())
    if not rows:
        return None
    return Ended(status, None if rows[0].id is None else claim_of(rows[0]))


def _merge(
    claim: Claim,
    job: Job,
    row: Solution,
    answer: Answer,
    first: Progress | None,
    log: Sequence[NewLine],
) -> tuple[JobStatus, dict[str, Any]]:
    """Put the answer into the rows, which no session writes; the parameters of `_write`."""
    known = {"known_seq": job.last_seq, "known_lines": job.log_lines}
    happened, points = [], []
    if first is not None:
        event = merge(row, first.solution, first.lower_bound, elapsed_s=first.elapsed_s)
        if event is not None:
            happened.append(Happened(job, event, standing(row, first.elapsed_s)))
            points.append(curve_point(job, row, first.elapsed_s))
    if merge(row, answer.solution, answer.lower_bound, elapsed_s=answer.elapsed_s) is not None:
        points.append(curve_point(job, row, answer.elapsed_s))
    row.infeasibility = answer.infeasibility
    explain(row, answer.statistics)
    lines = rows_of_lines(job, log)
    target, status, reason = _verdict(row, answer)
    if target is JobStatus.FAILED:
        job.error = NO_SOLUTION_IN_TIME
    happened.append(ending(job, row, target, status, reason, answer.elapsed_s))
    job.run_time_s = answer.elapsed_s
    events = [event.row() for event in next_events(*happened)]  # first: the job counts them
    mine = {"id": str(claim.job_id), "fence": claim.fence, "worker": claim.worker}
    of_job = {"job_id": str(claim.job_id)}
    solution = {name: getattr(row, name) for name in _solution_columns()}
    return target, {
        "job": {name: getattr(job, name) for name in _OF_JOB} | mine | known,
        "solution": solution | of_job,
        "points": [point | of_job for point in points],
        "lines": lines,
        "events": events,
    }


async def _read(session: WriteSession, claim: Claim) -> tuple[Job, Solution]:
    """The job, locked, and its solution, for `_write` and not the session to write."""
    rows = await session.execute(
        select(Job, Solution)
        .outerjoin(Solution, Solution.job_id == Job.id)
        .where(*is_mine(claim))
        .with_for_update(of=Job)
    )
    found = rows.first()
    if found is None:
        raise LeaseLost
    job: Job = found[0]
    row: Solution | None = found[1]
    session.expunge(job)
    if row is None:
        return job, Solution(job_id=job.id, final=False)
    session.expunge(row)
    return job, row


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


@cache
def _solution_columns() -> list[str]:
    given = {"updated_at", "pruned_at"}
    return [column.name for column in _table(Solution).columns if column.name not in given]


@cache
def _write(*, taking_next: bool) -> TextClause:
    """One statement for all that belongs to the end of a run; its parameters are JSON.

    No row comes back, and nothing is written, where the job is not as it was known. Else one does:
    with `taking_next` that of the next job (NULL where none waits), which is claimed as well.
    """
    job = ", ".join(f"{name} = new.{name}" for name in _OF_JOB)
    solution = _solution_columns()
    better = ", ".join(f"{name} = excluded.{name}" for name in solution if name != "job_id")
    point, line = ", ".join(_OF_POINT), ", ".join(_OF_LINE)
    events = f"SELECT told.* FROM ({EVENTS_OF_PARAMETER}) AS told, ended"  # noqa: S608 - of ours
    claim, result = "", "SELECT ended_id FROM ended"
    if taking_next:
        claim = f"{claiming('EXISTS (SELECT FROM ended)')},"
        events = f"{events} UNION ALL {STARTED}"
        result = f"SELECT next.* FROM ended LEFT JOIN ({CLAIMED}) AS next ON true"  # noqa: S608
    return text(
        f"""
        WITH ended AS (
            UPDATE jobs
            SET {job}, completed_at = now(),
                run_started_at = NULL, lease_until = NULL, leased_by = NULL
            FROM jsonb_to_record(:job) AS new (
                {_typed(Job, ("id", *_OF_JOB))}, fence bigint, worker text,
                known_seq integer, known_lines integer)
            WHERE jobs.id = new.id AND jobs.fence = new.fence AND jobs.leased_by = new.worker
              AND jobs.status = 'Running'
              AND jobs.last_seq = new.known_seq AND jobs.log_lines = new.known_lines
            RETURNING jobs.id AS ended_id
        ), solution AS (
            INSERT INTO solutions ({", ".join(solution)})
            SELECT new.*
            FROM jsonb_to_record(:solution) AS new ({_typed(Solution, solution)}), ended
            ON CONFLICT (job_id) DO UPDATE SET {better}, updated_at = now()
        ), points AS (
            INSERT INTO incumbents ({point})
            SELECT new.*
            FROM jsonb_to_recordset(:points) AS new ({_typed(Incumbent, _OF_POINT)}), ended
        ), lines AS (
            INSERT INTO job_logs ({line})
            SELECT new.*
            FROM jsonb_to_recordset(:lines) AS new ({_typed(LogLine, _OF_LINE)}), ended
        ), {claim} {appending(events)}
        {result}
        """  # noqa: S608 - names of columns
    ).bindparams(
        *(bindparam(name, type_=JSONB()) for name in ("job", "solution", "points", "lines")),
        bindparam("events", type_=JSONB()),
        *(CLAIM_TYPES if taking_next else ()),
    )


def _typed(model: type[Any], names: Sequence[str]) -> str:
    columns, dialect = _table(model).columns, postgresql.dialect()  # type: ignore[no-untyped-call]
    return ", ".join(f"{name} {columns[name].type.compile(dialect)}" for name in names)


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table

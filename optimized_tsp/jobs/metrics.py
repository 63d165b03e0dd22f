"""What is counted of jobs: totals from their events, and what waits and runs right now.

Totals are folded from the event log, whose positions are given in the order in which events became
visible: every event is counted once, whoever does it, whatever is killed meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select, text

from optimized_tsp.core.database import Database, ReadSession, WriteSession
from optimized_tsp.core.totals import MetricTotal, Tally
from optimized_tsp.events.log import sequence
from optimized_tsp.events.types import TERMINAL_EVENTS, EventType
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.states import JobStatus

__all__ = [
    "SOLVE_BUCKETS",
    "WAIT_BUCKETS",
    "QueueLoad",
    "count_crash",
    "count_rescue",
    "fold_events",
    "queue_load",
]

WAIT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
SOLVE_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1800, 3600)

FOLDED_THROUGH = "events_folded_through"
"""The row of `metric_totals` that holds the position of the last event that was counted."""

_FOLDED_AT_ONCE = 5000
# Any constant will do; it only has to be the same in every process.
_FOLD_LOCK = 0x7473706D65747263

_PAGE = text(
    """
    WITH page AS MATERIALIZED (
        SELECT position, job_id, type, at, solver, version, data FROM events
        WHERE position > :after ORDER BY position LIMIT :limit
    )
    SELECT page.position, page.type, page.solver, page.version,
        page.data ->> 'attempt' AS attempt,
        page.data ->> 'solution_status' AS solution_status,
        CAST(page.data ->> 'elapsed' AS double precision) AS solve_s,
        CAST(extract(epoch FROM page.at - jobs.submitted_at) AS double precision) AS wait_s
    FROM page LEFT JOIN jobs ON jobs.id = page.job_id
    ORDER BY page.position
    """
)


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """Jobs of one solver that have not ended; `oldest_s` is how long the first of them waits."""

    solver: str
    version: str
    waiting: int
    running: int
    oldest_s: float


async def fold_events(database: Database) -> None:
    """Add every event committed before this call to the totals; one process at a time."""
    await sequence(database)
    more = True
    while more:
        async with database.write() as session:
            more = await _fold_page(session)


async def _fold_page(session: WriteSession) -> bool:
    await session.execute(select(func.pg_advisory_xact_lock(_FOLD_LOCK)))
    folded = await session.scalar(
        select(MetricTotal.value).where(MetricTotal.metric == FOLDED_THROUGH)
    )
    after = int(folded or 0)
    rows = (await session.execute(_PAGE, {"after": after, "limit": _FOLDED_AT_ONCE})).all()
    if not rows:
        return False
    tally = Tally()
    for row in rows:
        _count(tally, row)
    tally.count(FOLDED_THROUGH, rows[-1].position - after)
    await tally.add_to(session)
    return len(rows) == _FOLDED_AT_ONCE


def _count(tally: Tally, event: Row[Any]) -> None:
    solver = {"solver": event.solver, "version": event.version}
    kind = event.type
    if kind == EventType.SUBMITTED:
        tally.count("jobs_submitted", **solver)
    elif kind == EventType.STARTED:
        tally.count("job_starts", **solver)
        if event.attempt == "1" and event.wait_s is not None:
            tally.observe("job_wait_seconds", event.wait_s, WAIT_BUCKETS, **solver)
    elif kind in TERMINAL_EVENTS:
        outcome = event.solution_status or "unknown"
        status = kind.removeprefix("job.")  # as JobStatus has it, in small letters
        tally.count("jobs_ended", **solver, status=status, solution_status=outcome)
        if event.solve_s is not None:
            tally.observe("job_solve_seconds", event.solve_s, SOLVE_BUCKETS, **solver)


def count_crash(tally: Tally, solver: str, version: str) -> None:
    """A solver's process died."""
    tally.count("solver_crashes", solver=solver, version=version)


def count_rescue(tally: Tally, status: JobStatus) -> None:
    """A job was taken from a worker that gave no sign of life; `status` is what became of it."""
    tally.count("job_rescues", status=status.lower())


async def queue_load(session: ReadSession) -> list[QueueLoad]:
    """What waits and runs, by solver."""
    oldest = func.extract("epoch", func.now() - func.min(Job.submitted_at))
    found: dict[tuple[str, str], dict[JobStatus, tuple[int, float]]] = {}
    # One query a status: each has an index of its own, over the few jobs that have not ended.
    for status in (JobStatus.SUBMITTED, JobStatus.RUNNING):
        query = select(Job.solver, Job.version, func.count(), oldest)
        query = query.where(Job.status == status.value).group_by(Job.solver, Job.version)
        for solver, version, jobs, waited_s in await session.execute(query):
            found.setdefault((solver, version), {})[status] = (jobs, float(waited_s))
    loads = []
    for (solver, version), by_status in sorted(found.items()):
        waiting, oldest_s = by_status.get(JobStatus.SUBMITTED, (0, 0.0))
        running, _ = by_status.get(JobStatus.RUNNING, (0, 0.0))
        loads.append(QueueLoad(solver, version, waiting, running, oldest_s))
    return loads

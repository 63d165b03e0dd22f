"""The one place that changes a job's status, always together with what must be true of it then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Double, cast, extract, func

from optimized_tsp.core.database import WriteSession
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.states import TERMINAL, TRANSITIONS, ForbiddenTransition, JobStatus
from optimized_tsp.webhooks.outbox import NewEvent, append_events

__all__ = ["Happened", "change_status", "next_events", "record", "traced", "used_s"]


def change_status(job: Job, target: JobStatus, *, at: datetime | None = None) -> None:
    """Move a locked job to `target`; raises `ForbiddenTransition` for what the table lacks.

    `at` is the transaction's time, where it is known: rows that differ in values only are written
    together, rows that hold an expression one by one.
    """
    source = JobStatus(job.status)
    if (source, target) not in TRANSITIONS:
        raise ForbiddenTransition(source, target)
    if source is JobStatus.RUNNING:
        job.run_time_s = used_s()
        job.run_started_at = None
        job.lease_until = None
        job.leased_by = None
    job.status = target.value
    if target in TERMINAL:
        job.completed_at = at or func.now()


@dataclass(frozen=True, slots=True)
class Happened:
    """What is to be told of a locked job."""

    job: Job
    event_type: EventType
    data: dict[str, Any]


async def record(session: WriteSession, *happened: Happened) -> None:
    """Append the next event of each of these jobs, and what webhooks are owed because of it."""
    await append_events(session, next_events(*happened))


def next_events(*happened: Happened) -> list[NewEvent]:
    """Number what happened; the jobs count it as appended."""
    events = []
    for one in happened:
        one.job.last_seq += 1
        data = one.data
        if one.job.traceparent is not None:  # whoever is notified can go on with the trace
            data = {**data, "traceparent": one.job.traceparent}
        events.append(
            NewEvent(one.job, one.job.last_seq, one.event_type, data, one.job.webhook_endpoint_id)
        )
    return events


def traced(data: dict[str, Any], traceparent: str | None) -> dict[str, Any]:
    """The data of an event with which whoever is notified can go on with the job's trace."""
    return data if traceparent is None else {**data, "traceparent": traceparent}


def used_s() -> ColumnElement[float]:
    """Solving time of a job over all its runs, the present one (if any) included, in seconds."""
    # A run that lost its worker is charged until its lease ended, not until somebody noticed.
    # GREATEST and LEAST pass over NULL: a job that does not run is charged nothing more.
    end = func.least(func.now(), Job.lease_until)
    present = func.greatest(0.0, cast(extract("epoch", end - Job.run_started_at), Double))
    return Job.run_time_s + present

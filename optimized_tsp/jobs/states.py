"""The states of a job and every change between them, in one table (drawn in docs/job-states.md)."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "ACTIVE",
    "MAX_CRASHES",
    "MAX_LOST_CLAIMS",
    "TERMINAL",
    "TRANSITIONS",
    "ForbiddenTransition",
    "JobStatus",
]

MAX_CRASHES = 3
"""A job whose run died this often is failed: it may be what kills the workers."""

MAX_LOST_CLAIMS = 10
"""So many claims of a job may be given back, or lost before the run gave a sign of life, and no
crash is counted. Lost ones beyond that are crashes: the job may kill workers at once."""


class JobStatus(StrEnum):
    """Where a job is; the public values. Each says what a crash there means."""

    SUBMITTED = "Submitted"
    """Committed and waiting. A crash of anything loses nothing: the row is the queue."""
    RUNNING = "Running"
    """A worker holds the lease. When it dies the lease runs out, and the reconciler of any other
    worker puts the job back to Submitted with its best solution, or fails it after MAX_CRASHES.
    A run that never gave a sign of life had not begun: that is no crash, and no attempt."""
    COMPLETED = "Completed"
    """Terminal: an answer is stored. It was written in one transaction with the last event."""
    FAILED = "Failed"
    """Terminal: no answer, and a public reason. A best solution found before stays readable."""
    CANCELLED = "Cancelled"
    """Terminal: stopped on request, the best solution so far is kept."""


ACTIVE = frozenset({JobStatus.SUBMITTED, JobStatus.RUNNING})
TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})

TRANSITIONS: dict[tuple[JobStatus, JobStatus], str] = {
    (JobStatus.SUBMITTED, JobStatus.RUNNING): "claim: a worker took it and raised the fence",
    (JobStatus.SUBMITTED, JobStatus.CANCELLED): "cancel: nobody had started it",
    (JobStatus.RUNNING, JobStatus.SUBMITTED): "give back (graceful stop) or rescue (lease ran out)",
    (JobStatus.RUNNING, JobStatus.COMPLETED): "finish: solved, out of time with a solution, or "
    "proven infeasible",
    (
        JobStatus.RUNNING,
        JobStatus.FAILED,
    ): "finish: no answer, an error of ours, too many crashes",
    (JobStatus.RUNNING, JobStatus.CANCELLED): "finish: stopped on request",
}


class ForbiddenTransition(Exception):
    """A change of state that the table does not have: a defect of ours."""

    def __init__(self, source: JobStatus, target: JobStatus) -> None:
        super().__init__(f"a job cannot go from {source} to {target}")

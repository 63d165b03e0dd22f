"""What a worker does to a job: claim, renew, report progress, finish, give back, rescue.

Every function that takes a session runs inside the caller's transaction. Every write of a run names
its fence, a number that only grows: a worker that was frozen past its lease finds another fence and
writes nothing. Leases go by the database's clock, never by a worker's.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Interval,
    Text,
    bindparam,
    func,
    select,
    text,
    update,
)

from optimized_tsp.core.database import Database, ReadSession, WriteSession
from optimized_tsp.jobs.models import Instance, Job
from optimized_tsp.jobs.solutions import stored_solution
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.solvers.registry import all_solvers
from optimized_tsp.webhooks.outbox import appending

__all__ = [
    "CLAIMED",
    "CLAIM_TYPES",
    "STARTED",
    "Claim",
    "Claimant",
    "LeaseLost",
    "claim_next",
    "claim_of",
    "claiming",
    "instance_payload",
    "is_mine",
    "locked",
    "oldest_wait_s",
    "renew",
    "stop_requested",
]

MIN_REMAINING_S = 1.0
_SMALL_BYTES = 2**16

_OF_ITS_END = (
    *("id", "tenant_id", "solver", "version", "tags", "status", "attempt", "last_seq"),
    *("log_lines", "log_bytes", "log_truncated", "traceparent", "webhook_endpoint_id", "error"),
)

STARTED = """
    SELECT id AS job_id, last_seq AS seq, 'job.started' AS type, tenant_id, solver, version, tags,
           jsonb_strip_nulls(jsonb_build_object(
               'attempt', attempt, 'traceparent', traceparent)) AS data,
           webhook_endpoint_id AS endpoint_id
    FROM claimed
"""
"""The query of the events of a claim (`claiming`), as `webhooks.outbox.appending` takes it."""

CLAIMED = f"""
    SELECT claimed.*, solutions.job_id AS solved, cost, node_order, solutions.payload, pruned_at,
           CASE WHEN instances.size <= {_SMALL_BYTES} THEN instances.payload END AS instance
    FROM claimed
    JOIN instances ON instances.digest = claimed.instance_digest
    LEFT JOIN solutions ON solutions.job_id = claimed.id
"""  # noqa: S608 - constants of ours
"""The query of what `claim_of` reads."""


def claiming(condition: str = "true") -> str:
    """Common table expressions that claim the oldest waiting job, if the condition holds.

    Their parameters are those of `Claimant.parameters`.
    """
    return f"""next AS (
        SELECT id FROM jobs
        WHERE status = 'Submitted' AND solver || ' ' || version = ANY (:known) AND {condition}
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE jobs
        SET status = 'Running', fence = fence + 1, attempt = attempt + 1, leased_by = :worker,
            lease_until = now() + :lease, run_started_at = NULL,
            started_at = coalesce(started_at, now()), last_seq = last_seq + 1
        FROM next WHERE jobs.id = next.id
        RETURNING jobs.*
    )"""  # noqa: S608 - constants of ours


CLAIM_TYPES = (bindparam("known", type_=ARRAY(Text)), bindparam("lease", type_=Interval))

# One statement for all that belongs to a claim: a small job takes hardly more than its claim. It
# does not wait for the disk: a claim that a crash of Postgres undoes was never told of, and its run
# can write nothing (docs/decisions/0017-what-waits-for-the-disk.md).
_CLAIM = text(
    f"""
    WITH {claiming()}, {appending(STARTED)}
    SELECT found.*, set_config('synchronous_commit', 'off', true) FROM ({CLAIMED}) AS found
    """  # noqa: S608 - constants of ours
).bindparams(*CLAIM_TYPES)


class LeaseLost(Exception):
    """The job belongs to another run now, or ended; this run must write nothing more."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: a worker's name, never the same twice, and the solvers it knows."""

    worker: str
    lease_s: float
    solvers: Collection[tuple[str, str]] | None = None
    """Default: the registered."""

    def parameters(self) -> dict[str, Any]:
        """Of a statement with `claiming`."""
        known = all_solvers() if self.solvers is None else self.solvers
        return {
            "known": [f"{name} {version}" for name, version in known],
            "worker": self.worker,
            "lease": timedelta(seconds=self.lease_s),
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """A job this worker owns until its lease runs out. Times in seconds."""

    job_id: UUID
    fence: int
    worker: str
    solver: str
    version: str
    parameters: dict[str, Any]
    timeout_s: float
    used_s: float
    attempt: int
    instance_digest: bytes
    instance: bytes | None
    """Canonical JSON, if it is small; else see `instance_payload`."""
    start: dict[str, Any] | None
    """The best solution of an earlier run, with its cost."""
    resumed: bool
    """Whether an earlier run stored something of a solution."""
    job: Mapping[str, Any]
    """The columns that the end of the run needs (`jobs.answers`), as they are now."""
    log_lines: int = 0
    request_id: str | None = None
    traceparent: str | None = None
    heard_at: float = field(default_factory=time.monotonic, compare=False)
    """When this process heard of it, by `time.monotonic`."""

    @property
    def remaining_s(self) -> float:
        """Solving time that is left; after an interruption at least a second of what was asked."""
        return max(min(MIN_REMAINING_S, self.timeout_s), self.timeout_s - self.used_s)


async def claim_next(
    database: Database,
    *,
    worker: str,
    lease_s: float,
    solvers: Collection[tuple[str, str]] | None = None,
) -> Claim | None:
    """Take the oldest waiting job of these solvers (default: the registered), None when none waits.

    A job of a solver this worker does not know is left for one that does: while a new version is
    rolled out, both kinds run.
    """
    claimant = Claimant(worker, lease_s, solvers)
    rows = await database.alone(_CLAIM, claimant.parameters())
    return claim_of(rows[0]) if rows else None


def claim_of(row: Any) -> Claim:
    """The claim that a row of `CLAIMED` tells of."""
    return Claim(
        job_id=row.id,
        fence=row.fence,
        worker=row.leased_by,
        solver=row.solver,
        version=row.version,
        parameters=row.parameters,
        timeout_s=row.timeout_s,
        used_s=row.run_time_s,
        attempt=row.attempt,
        instance_digest=row.instance_digest,
        instance=row.instance,
        start=stored_solution(row),
        resumed=row.solved is not None,
        job={name: row[name] for name in _OF_ITS_END},
        log_lines=row.log_lines,
        request_id=row.request_id,
        traceparent=row.traceparent,
    )


def is_mine(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """The conditions on `Job` under which a run may still read and write.

    The worker is named too: a crash of Postgres may have undone the claim, and the next one would
    raise the fence to the same number.
    """
    return (
        Job.id == claim.job_id,
        Job.fence == claim.fence,
        Job.leased_by == claim.worker,
        Job.status == JobStatus.RUNNING.value,
    )


async def instance_payload(session: ReadSession, claim: Claim) -> bytes:
    """The instance of a claimed job, canonical JSON."""
    payload = await session.scalar(
        select(Instance.payload).where(Instance.digest == claim.instance_digest)
    )
    if payload is None:
        raise LookupError(f"the instance of job {claim.job_id} is gone")
    return bytes(payload)


async def renew(session: WriteSession, claim: Claim, *, lease_s: float) -> None:
    """Keep the job, and say that its run began, if nothing has yet; raises `LeaseLost`."""
    renewed = await session.execute(
        update(Job)
        .where(*is_mine(claim))
        .values(
            lease_until=_lease_end(lease_s),
            run_started_at=func.coalesce(Job.run_started_at, _began_at(claim)),
        )
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    if renewed.first() is None:
        raise LeaseLost


async def stop_requested(session: ReadSession, claim: Claim) -> bool:
    """Whether somebody asked to cancel; raises `LeaseLost`."""
    row = (await session.execute(select(Job.cancel_requested_at).where(*is_mine(claim)))).first()
    if row is None:
        raise LeaseLost
    return row.cancel_requested_at is not None


async def locked(session: WriteSession, claim: Claim) -> Job:
    """The claimed job, locked for this transaction, its run begun; raises `LeaseLost`."""
    job = await session.scalar(select(Job).where(*is_mine(claim)).with_for_update())
    if job is None:
        raise LeaseLost
    if job.run_started_at is None:
        job.run_started_at = _began_at(claim)
        await session.flush()  # what the run used is reckoned from the row (`transitions.used_s`)
    return job


async def oldest_wait_s(session: ReadSession) -> float | None:
    """Seconds the oldest waiting job has waited since it was submitted, None when none waits."""
    submitted_at = (
        select(Job.submitted_at)
        .where(Job.status == JobStatus.SUBMITTED.value)
        .order_by(Job.id)
        .limit(1)
        .scalar_subquery()
    )
    waited = await session.scalar(select(func.extract("epoch", func.now() - submitted_at)))
    return None if waited is None else float(waited)


def _lease_end(lease_s: float) -> Any:
    return func.now() + timedelta(seconds=lease_s)


def _began_at(claim: Claim) -> Any:
    return func.now() - timedelta(seconds=time.monotonic() - claim.heard_at)

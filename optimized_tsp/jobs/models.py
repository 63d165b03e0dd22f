"""The tables of jobs: instances, jobs, their best solutions and the curve of incumbents."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from optimized_tsp.core.database import Base
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.solvers.contract import SolutionStatus, StopReason

__all__ = ["Incumbent", "Instance", "Job", "JobTag", "LogLine", "Solution"]


def _one_of(column: str, values: type[JobStatus | SolutionStatus | StopReason]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


class Instance(Base):
    """What was submitted, once per content: `payload` is canonical JSON, its hash the key.

    The payload is NULL once retention has removed it; whoever submits it again brings it back.
    """

    __tablename__ = "instances"
    __table_args__ = (
        Index("instances_prunable_idx", "created_at", postgresql_where=text("payload IS NOT NULL")),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    solver: Mapped[str] = mapped_column(Text)
    num_nodes: Mapped[int] = mapped_column(Integer)
    num_edges: Mapped[int | None] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    payload: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


_LISTED = ("tenant_id", "solver", "version")


class Job(Base):
    """One job. Changes of `status` follow `jobs.states`; every write of a run names its fence.

    `run_started_at` is when the present run began, NULL until it first gives a sign of life, and
    `run_time_s` what earlier runs used up, so that a resumed job gets the time that is left. The
    first, like the lease, goes by the database's clock.
    `parameters` are loaded only where asked for: an initial tour among them may be large.
    `webhook_endpoint_id` stands for the `webhook_url`; no foreign key, which would have to check
    every job of a large table.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_one_of("status", JobStatus), name="status"),
        CheckConstraint(_one_of("solution_status", SolutionStatus), name="solution_status"),
        CheckConstraint(_one_of("stop_reason", StopReason), name="stop_reason"),
        CheckConstraint(
            "(status = 'Running') = (lease_until IS NOT NULL)", name="lease_while_running"
        ),
        CheckConstraint(
            "(status IN ('Completed', 'Failed', 'Cancelled')) = (completed_at IS NOT NULL)",
            name="completed_at_when_terminal",
        ),
        Index(
            "jobs_queue_idx",
            "id",
            postgresql_where=text("status = 'Submitted'"),
            postgresql_include=["solver", "version", "submitted_at"],  # for /metrics
        ),
        Index("jobs_leases_idx", "lease_until", postgresql_where=text("status = 'Running'")),
        Index("jobs_newest_idx", "tenant_id", "solver", "version", "id"),
        # A list of jobs for each of its filters: of some hundred rows, whatever the table holds.
        Index("jobs_listed_idx", *_LISTED, "submitted_at", "id"),
        Index("jobs_by_status_idx", *_LISTED, "status", "submitted_at", "id"),
        Index(
            "jobs_by_name_idx",
            *(*_LISTED, "name", "submitted_at", "id"),
            postgresql_where=text("name IS NOT NULL"),
        ),
        Index(  # unused since there is `JobTag`; stays for the version before
            "jobs_by_tag_idx",
            "tags",
            postgresql_using="gin",
            postgresql_ops={"tags": "jsonb_path_ops"},
            postgresql_where=text("tags <> '{}'"),
            postgresql_with={"fastupdate": "off"},  # or lists wait for what is not in order yet
        ),
        Index("jobs_instance_digest_idx", "instance_digest"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    solver: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    solution_status: Mapped[str | None] = mapped_column(Text)
    stop_reason: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[dict[str, Any]]
    warnings: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, deferred=True)
    timeout_s: Mapped[float] = mapped_column(Double)
    instance_digest: Mapped[bytes] = mapped_column(ForeignKey("instances.digest"))
    submitted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    run_started_at: Mapped[datetime | None]
    run_time_s: Mapped[float] = mapped_column(Double, server_default="0")
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    crashes: Mapped[int] = mapped_column(Integer, server_default="0")
    fence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    leased_by: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    last_seq: Mapped[int] = mapped_column(Integer, server_default="0")
    error: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[datetime | None]
    log_lines: Mapped[int] = mapped_column(Integer, server_default="0")
    log_bytes: Mapped[int] = mapped_column(Integer, server_default="0")
    log_truncated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    request_id: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)
    webhook_endpoint_id: Mapped[UUID | None]


class JobTag(Base):
    """A tag of a job, in the order of lists. The trigger `jobs_add_tags` writes it with the job.

    A GIN index on `jobs.tags` has no order: of a tag that half of all jobs have, it finds all.
    """

    __tablename__ = "job_tags"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    solver: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)
    submitted_at: Mapped[datetime] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = mapped_column(primary_key=True)


class Solution(Base):
    """The best solution of a job so far, replaced as better ones arrive; `final` when it ended.

    `node_order` holds a tour; solvers whose answer is not a tour use `payload`. Cost and bound are
    integers; times are seconds of solving, over all runs. `infeasibility` is the certificate.
    `statistics` says what the last run did; `engine` to `cp_sat_s` are those of its facts that
    every solver names alike (see `Outcome`).
    From `pruned_at` on `node_order` and `payload` are gone; the facts stay for reporting.
    """

    __tablename__ = "solutions"
    __table_args__ = (
        Index(
            "solutions_prunable_idx",
            "updated_at",
            postgresql_where=text("final AND pruned_at IS NULL"),
        ),
    )

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    cost: Mapped[int | None] = mapped_column(BigInteger)
    lower_bound: Mapped[int | None] = mapped_column(BigInteger)
    gap: Mapped[float | None] = mapped_column(Double)
    first_gap: Mapped[float | None] = mapped_column(Double)
    node_order: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    payload: Mapped[dict[str, Any] | None]
    infeasibility: Mapped[dict[str, Any] | None]
    statistics: Mapped[dict[str, Any] | None]
    engine: Mapped[str | None] = mapped_column(Text)
    proven_by: Mapped[str | None] = mapped_column(Text)
    root_bound: Mapped[int | None] = mapped_column(BigInteger)
    nodes: Mapped[int | None] = mapped_column(BigInteger)
    cp_sat_s: Mapped[float | None] = mapped_column(Double)
    wall_time_s: Mapped[float | None] = mapped_column(Double)
    time_to_first_s: Mapped[float | None] = mapped_column(Double)
    time_to_best_s: Mapped[float | None] = mapped_column(Double)
    final: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    pruned_at: Mapped[datetime | None]


class Incumbent(Base):
    """One point of a job's anytime curve; kept when events are pruned."""

    __tablename__ = "incumbents"
    __table_args__ = (Index("incumbents_job_id_idx", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    attempt: Mapped[int] = mapped_column(Integer)
    elapsed_s: Mapped[float] = mapped_column(Double)
    cost: Mapped[int | None] = mapped_column(BigInteger)
    lower_bound: Mapped[int | None] = mapped_column(BigInteger)
    gap: Mapped[float | None] = mapped_column(Double)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class LogLine(Base):
    """One line of a job's log; `line` is dense per job from 1, `elapsed_s` is solving time."""

    __tablename__ = "job_logs"
    __table_args__ = (Index("job_logs_at_idx", "at", postgresql_using="brin"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    line: Mapped[int] = mapped_column(Integer, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    elapsed_s: Mapped[float] = mapped_column(Double)
    level: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)

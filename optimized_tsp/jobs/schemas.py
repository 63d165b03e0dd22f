"""The public shapes of a job: what is posted, what is answered."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator
from pydantic.fields import FieldInfo

from optimized_tsp.core.tags import Tags, storable
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.solvers.contract import (
    InfeasibilityCertificate,
    SolutionStatus,
    StopReason,
    StrictModel,
)
from optimized_tsp.solvers.registry import AnySolver, UnfitSolver, all_solvers
from optimized_tsp.webhooks.address import MAX_URL_LENGTH

__all__ = [
    "CancelledJobs",
    "JobView",
    "NoticeView",
    "SolutionView",
    "ValidationView",
    "Submission",
    "own_fields",
    "solution_type",
    "submission_type",
]


class Submission(StrictModel):
    """What every solver's submission has beside its instance and parameters."""

    name: str | None = Field(
        default=None, max_length=200, description="A name of your own, for finding and reporting."
    )
    tags: Tags = Field(
        default_factory=dict,
        description="Labels of your own, string to string, for finding and reporting.",
    )
    webhook_url: str | None = Field(
        default=None,
        max_length=MAX_URL_LENGTH,
        description="Where the end of this job is posted to: https, to a public address. The "
        "secret that verifies it is at GET /webhooks/job-secret.",
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        return None if name is None else storable(name)


def submission_type(solver: AnySolver) -> type[Submission]:
    """The schema of a submission to one solver."""
    return _submission_type(solver.name, solver.version)


@cache
def _submission_type(name: str, version: str) -> type[Submission]:
    solver = all_solvers()[name, version]
    if solver.instance_field in {*Submission.model_fields, "optimization_parameters"}:
        raise UnfitSolver(f"{name} {version} cannot call its instance `{solver.instance_field}`.")
    needed = any(field.is_required() for field in solver.parameters_type.model_fields.values())
    fields: dict[str, Any] = {
        solver.instance_field: (solver.instance_type, ...),
        "optimization_parameters": (
            solver.parameters_type,
            ... if needed else Field(default_factory=solver.parameters_type),
        ),
    }
    return create_model(
        f"{_title(solver)}Submission",
        __base__=Submission,
        __doc__=f"A problem for the solver {solver.name} {solver.version}.",
        **fields,
    )


class NoticeView(BaseModel):
    """Something legal that was probably not meant."""

    code: str
    message: str


class ValidationView(BaseModel):
    """What would happen to a valid submission."""

    num_nodes: int
    num_edges: int | None = Field(description="null where edges are implicit.")
    instance_bytes: int
    timeout: float
    warnings: list[NoticeView]
    is_infeasible: bool | None = Field(description="true with a certificate; null: not known yet.")
    infeasibility: InfeasibilityCertificate | None


class JobView(BaseModel):
    """A job's status. Numbers that do not exist are null; times are RFC 3339, UTC."""

    task_id: UUID
    solver: str
    version: str
    status: JobStatus
    solution_status: SolutionStatus | None = Field(description="Known once the job has ended.")
    stop_reason: StopReason | None = Field(description="Why the solver stopped.")
    is_infeasible: bool | None = Field(description="null until it is known.")
    name: str | None
    tags: dict[str, str]
    submitted_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    timeout: float = Field(description="Time limit in seconds.")
    progress: float = Field(
        ge=0,
        le=1,
        description="The larger of elapsed / time limit and 1 - gap / first gap; 1 when ended.",
    )
    cost: int | None = Field(description="Of the best solution so far.")
    lower_bound: int | None = Field(description="Proven on the full problem.")
    gap: float | None = Field(description="(cost - lower_bound) / cost, a fraction.")
    queue_position: int | None = Field(
        description="1 is next; null when it does not wait. Far back in a long queue jobs that left"
        " it in the last seconds may still be counted."
    )
    attempt: int = Field(description="How often a worker took the job, give-backs not counted.")
    error: str | None
    cancel_requested: bool
    warnings: list[NoticeView] = Field(description="What is legal but probably not meant.")
    webhook_url: str | None = Field(
        description="Where its end is posted to; null when nowhere, or no longer known."
    )
    webhook_id: UUID | None = Field(
        description="Its deliveries are at /webhooks/{webhook_id}/deliveries?task_id=...; null with"
        " the URL."
    )


class CancelledJobs(BaseModel):
    """How many waiting jobs were cancelled."""

    cancelled: int = Field(ge=0)


class SolutionView(BaseModel):
    """The best solution so far; the solver's own fields are null when there is no solution."""

    model_config = ConfigDict(extra="allow")

    task_id: UUID
    final: bool = Field(description="Whether the job has ended and this is its answer.")
    solution_status: SolutionStatus | None
    stop_reason: StopReason | None
    is_infeasible: bool
    cost: int | None
    lower_bound: int | None
    gap: float | None
    infeasibility: InfeasibilityCertificate | None
    statistics: dict[str, Any] | None = Field(description="What the solver did, flat facts.")


_SHARED_FIELDS = frozenset(SolutionView.model_fields)


def solution_type(solver: AnySolver) -> type[SolutionView]:
    """The schema of one solver's solutions: every field of its own may be null (infeasible)."""
    return _solution_type(solver.name, solver.version)


def own_fields(solver: AnySolver) -> list[str]:
    """What a solver's solutions have beside what all solutions have, in the solver's order."""
    return [name for name in solver.solution_type.model_fields if name not in _SHARED_FIELDS]


@cache
def _solution_type(name: str, version: str) -> type[SolutionView]:
    solver = all_solvers()[name, version]
    fields = solver.solution_type.model_fields
    if taken := (_SHARED_FIELDS & fields.keys()) - {"cost"}:
        raise UnfitSolver(f"{name} {version} cannot have these in a solution: {sorted(taken)}.")
    views: dict[str, Any] = {
        field: (_nullable(fields[field]), Field(description=fields[field].description))
        for field in ["cost", *own_fields(solver)]
    }
    return create_model(
        f"{_title(solver)}Solution",
        __base__=SolutionView,
        __doc__=solver.solution_type.__doc__,
        **views,
    )


def _nullable(field: FieldInfo) -> Any:
    annotation: Any = field.annotation
    if field.metadata:
        annotation = Annotated[(annotation, *field.metadata)]
    return annotation | None


def _title(solver: AnySolver) -> str:
    return f"{solver.name}_{solver.version}".title().replace("_", "")

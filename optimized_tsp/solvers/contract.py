"""What a solver is: data in, a stop signal and a progress callback beside it, an outcome back.

A solver imports no web, database or queue library and can be used in a notebook. Importing a
solver's package must be cheap (the API imports it for its schemas): heavy engines such as OR-Tools
are imported inside `solve`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Announcing",
    "Diagnosing",
    "Diagnosis",
    "Example",
    "Formatting",
    "InfeasibilityCertificate",
    "Incumbent",
    "InstanceSize",
    "InvalidInstance",
    "InvalidParameters",
    "InvalidSolution",
    "Outcome",
    "ParameterChecking",
    "Problem",
    "Notice",
    "SolutionStatus",
    "Solver",
    "SolverParameters",
    "StopReason",
    "StopSignal",
    "StrictModel",
    "relative_gap",
]


class StrictModel(BaseModel):
    """A public schema: no coercion, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class SolverParameters(StrictModel):
    """How long and how a solver may work; solvers add their own fields by inheriting."""

    timeout: float = Field(
        default=60.0,
        gt=0,
        description="Time limit in seconds of wall time, from the start to the stored solution.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of every random choice.")
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Cores to use; never more than the service allows one solve (the default).",
    )


class SolutionStatus(StrEnum):
    """What is known about the answer, apart from why the solver stopped."""

    OPTIMAL = "optimal"
    """The cost equals a lower bound proven on the full problem."""
    FEASIBLE = "feasible"
    """A checked solution that is not proven to be optimal."""
    INFEASIBLE = "infeasible"
    """Proven to have no solution; this is an answer."""
    UNKNOWN = "unknown"
    """No solution was found and none was ruled out."""


class StopReason(StrEnum):
    """Why the solver stopped, apart from what it knows."""

    PROVEN = "proven"
    """Nothing is left to do: optimal or infeasible."""
    GAP_LIMIT = "gap_limit"
    """The gap the caller asked for was reached."""
    TIME_LIMIT = "time_limit"
    """The time limit was reached."""
    NO_IMPROVEMENT = "no_improvement"
    """No better solution turned up for as long as the caller allowed."""
    CANCELLED = "cancelled"
    """Somebody asked for it."""


class StopSignal(Protocol):
    """Says whether the solver should stop now; cheap enough for inner loops, from any thread."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the signal is set or `timeout` seconds passed; return whether it is set."""


class InvalidSolution(Exception):
    """A solution that does not solve its instance, or whose cost is not what it says."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input.

    `pointer` is an RFC 6901 JSON pointer relative to the instance; `code` is a stable identifier
    such as `self_loop`; `message` says what was wrong and what would be right.
    """

    pointer: str
    code: str
    message: str


class InvalidInstance(ValueError):
    """An instance that breaks a rule its schema cannot express."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.pointer}: {p.message}" for p in problems))
        self.problems = problems


class InvalidParameters(ValueError):
    """Parameters that do not fit their instance; pointers are relative to the parameters."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.pointer}: {p.message}" for p in problems))
        self.problems = problems


class InfeasibilityCertificate(StrictModel):
    """Why an instance has no solution, in a form that can be checked by hand."""

    kind: str = Field(description="Stable identifier, for instance `no_outgoing_edge`.")
    nodes: list[int] = Field(description="The nodes (or items) that show it; at most 100.")
    message: str = Field(description="One sentence for a person.")


@dataclass(frozen=True, slots=True)
class InstanceSize:
    """What reporting stores about an instance; `num_edges` is None where edges are implicit.

    `counts` is what people call that of which there are `num_nodes`.
    """

    num_nodes: int
    num_edges: int | None
    counts: str = "nodes"


@dataclass(frozen=True, slots=True)
class Example:
    """A ready instance of a solver.

    `submission` is a whole submission body, as JSON values. `labels` names the nodes (or items) for
    people, by number; empty where there are no names. `attribution` credits the source of the data.
    """

    name: str
    description: str
    submission: dict[str, Any]
    labels: list[str]
    attribution: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something legal that was probably not meant; `code` is a stable identifier."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What can be said of an instance without solving it."""

    infeasibility: InfeasibilityCertificate | None = None
    """A proof that there is no solution; None says nothing."""


InstanceT = TypeVar("InstanceT", bound=BaseModel)
ParametersT = TypeVar("ParametersT", bound=SolverParameters)
SolutionT = TypeVar("SolutionT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Incumbent(Generic[SolutionT]):
    """A progress report: a better solution, a better bound, or both.

    `solution` is None when only the bound rose. `cost` and `lower_bound` are the best known so far,
    None while there is none. A bound is only ever one of the full problem.
    """

    solution: SolutionT | None
    cost: int | None
    lower_bound: int | None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[SolutionT]):
    """How a solve ended: what is known, why it stopped, and the best solution.

    `statistics` holds flat facts about the work done (counts, seconds), JSON-serializable. Names
    that mean the same everywhere, and are columns in SQL: `engine` and `proven_by` (what proved the
    answer; text), `root_bound` (a cost), `nodes` (of the search tree), `cp_sat_s` (seconds).
    """

    solution_status: SolutionStatus
    stop_reason: StopReason
    solution: SolutionT | None = None
    cost: int | None = None
    lower_bound: int | None = None
    infeasibility: InfeasibilityCertificate | None = None
    statistics: dict[str, Any] | None = None

    @property
    def gap(self) -> float | None:
        return relative_gap(self.cost, self.lower_bound)


def relative_gap(cost: int | None, lower_bound: int | None) -> float | None:
    """(cost - lower_bound) / cost, a fraction; 0 when both are 0; None where either is missing."""
    if cost is None or lower_bound is None:
        return None
    if cost == lower_bound:
        return 0.0
    return max(0.0, (cost - lower_bound) / cost) if cost else None


class Solver(Protocol[InstanceT, ParametersT, SolutionT]):
    """A solver plugin. Stateless: one object serves every request.

    `instance_type`, `parameters_type` and `solution_type` are the pydantic models of its public
    schemas; `solution_type` has an integer field `cost`. `instance_field` is the name of the
    instance in a submission.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    instance_field: ClassVar[str]
    instance_type: type[InstanceT]
    parameters_type: type[ParametersT]
    solution_type: type[SolutionT]

    def size(self, instance: InstanceT) -> InstanceSize:
        """Size of an instance, from its schema alone (no distances are computed)."""

    def validate(self, instance: InstanceT) -> None:
        """Raise `InvalidInstance` for what the schema cannot express (ranges, exact costs)."""

    def examples(self) -> list[Example]:
        """Ready instances, the one to show first first."""

    def solve(
        self,
        instance: InstanceT,
        parameters: ParametersT,
        *,
        seed: int,
        stop: StopSignal,
        on_incumbent: Callable[[Incumbent[SolutionT]], None],
        start: SolutionT | None,
    ) -> Outcome[SolutionT]:
        """Solve, within `parameters.timeout` seconds of wall time counted from this call.

        `parameters.threads` is set by whoever runs the solver (None counts as 1).
        `start` is a known solution (for instance from an interrupted run): the answer is never
        worse. `on_incumbent` is called from the calling thread or another one, never concurrently.
        When `stop` is set the best solution so far is returned with `StopReason.CANCELLED`.
        """

    def check(self, instance: InstanceT, solution: SolutionT) -> None:
        """Raise `InvalidSolution` unless the solution solves the instance at exactly its cost.

        Knows nothing of the algorithm: reads the instance, adds up, compares.
        """


@runtime_checkable
class Announcing(Protocol):
    """What a solver may offer beside the contract: the size of an instance before it is read.

    For instances that hold a text in some notation: what is too large is refused without work.
    """

    def announced_size(self, instance: Any) -> InstanceSize:
        """At most what `size` will be; 0 where the instance does not say."""


@runtime_checkable
class Diagnosing(Protocol):
    """What a solver may offer beside the contract: a look at an instance before it is solved."""

    def notices(self, instance: Any) -> list[Notice]:
        """What is legal but probably not meant; milliseconds, no heavy imports."""

    def diagnose(self, instance: Any) -> Diagnosis:
        """What is known without solving; may take a moment and import engines."""


@runtime_checkable
class ParameterChecking(Protocol):
    """What a solver may offer beside the contract: a look at parameters beside their instance."""

    def validate_parameters(self, instance: Any, parameters: Any) -> None:
        """Raise `InvalidParameters` for what only the two together show; the instance is valid."""


@runtime_checkable
class Formatting(Protocol):
    """What a solver may offer beside the contract: other media types than JSON.

    `readers` turn a body into the JSON value of an instance and raise `InvalidInstance`; `writers`
    turn an instance and its solution into text, and raise `InvalidInstance` where that instance
    cannot be shown so. `beside` names fields of the instance, single values, that a format has no
    word for: they may be given beside a body of that type (as query parameters, by REST) and are
    added to what its reader says. All are found by media type, for instance `text/csv`.
    """

    readers: Mapping[str, Callable[[bytes], Any]]
    writers: Mapping[str, Callable[[Any, Any], str]]
    beside: Mapping[str, tuple[str, ...]]

"""What may be asked of a solve: limits, the engine, a tour to start from.

`InitialTour` and what concerns the instance is checked in `initial_tour.py`; what contradicts
itself is refused here. Importing this module is cheap.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from optimized_tsp.solvers.contract import SolverParameters
from optimized_tsp.solvers.tsp.schemas import MAX_NODES

__all__ = ["Engine", "TspParameters"]

Engine = Literal["auto", "cp_sat", "branch_and_cut"]

_TourNode = Annotated[int, Field(ge=0, lt=MAX_NODES, strict=True)]


class TspParameters(SolverParameters):
    """When to stop, what proves, and where to begin. Times are seconds of wall time."""

    engine: Engine = Field(
        default="auto",
        description="What proves the tour: `branch_and_cut` (linear relaxation, cuts, branching),"
        " `cp_sat` (OR-Tools' CP-SAT on the edges that may still matter), or `auto`, which chooses"
        " by form and size. When one fails the other goes on; the solution's statistics say so.",
    )
    gap_limit: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Stop as soon as (cost - lower bound) / cost is not above this fraction"
        " (0.01 is 1 %); 0 asks for a proof. Stop reason `gap_limit`.",
    )
    no_improvement_timeout: float | None = Field(
        default=None,
        gt=0,
        description="Stop when no shorter tour was found for this many seconds, counted from the"
        " last better tour (the first one, or `initial_tour`, begins the count); a rising bound"
        " does not count. At most `timeout`. Stop reason `no_improvement`.",
    )
    initial_tour: list[_TourNode] | None = Field(
        default=None,
        fail_fast=True,
        min_length=1,
        description="A tour to start from: every node of the instance once, in visiting order,"
        " starting anywhere. The answer is never worse.",
    )
    deterministic: bool = Field(
        default=False,
        description="The same input, seed and version give the same tour, whatever the machine and"
        " its threads: works on one core and stops by work done, not by time. Only the time limit"
        " or a cancel can still make a difference; the statistics then say `reproducible: false`.",
    )

    @field_validator("no_improvement_timeout")
    @classmethod
    def _within_the_time_limit(cls, seconds: float | None, info: ValidationInfo) -> float | None:
        timeout = info.data.get("timeout")
        if seconds is not None and timeout is not None and seconds > timeout:
            raise PydanticCustomError(
                "contradictory_limits",
                "No improvement for {seconds} s never happens within a timeout of {timeout} s;"
                " give at most the timeout",
                {"seconds": f"{seconds:g}", "timeout": f"{timeout:g}"},
            )
        return seconds

    @field_validator("deterministic")
    @classmethod
    def _not_by_the_clock(cls, deterministic: bool, info: ValidationInfo) -> bool:  # noqa: FBT001
        if deterministic and info.data.get("no_improvement_timeout") is not None:
            raise PydanticCustomError(
                "contradictory_limits",
                "A deterministic solve stops by work done, no_improvement_timeout by the clock;"
                " leave one of them out",
            )
        return deterministic

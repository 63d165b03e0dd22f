"""The public shapes of the solver `knapsack`: instance, parameters, solution.

These models check shapes and types; sums are checked by `validation.py`. Importing this module is
cheap: no OR-Tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from optimized_tsp.solvers.contract import SolverParameters, StrictModel

__all__ = [
    "SUM_LIMIT",
    "KnapsackInstance",
    "KnapsackItem",
    "KnapsackParameters",
    "KnapsackSolution",
]

SUM_LIMIT = 2**53
"""All values, and all weights, add up to less than this: exact in JSON, and as a double."""

Amount = Annotated[int, Field(ge=0, lt=SUM_LIMIT, strict=True)]


@dataclass(frozen=True, slots=True)
class KnapsackItem:
    """Something to take or to leave; both numbers are exact integers >= 0."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid"
    )  # strict would refuse dicts

    value: Amount
    weight: Amount


class KnapsackInstance(StrictModel):
    """Which items to take, so that they weigh no more than the capacity and are worth the most.

    The empty selection is always allowed, so every instance has a solution. Items are numbered from
    0 in the order given. The list fails on its first malformed item, so that a large wrong body
    costs no more than a right one.
    """

    items: list[KnapsackItem] = Field(
        fail_fast=True,
        description="May be empty. The sums of all values and of all weights stay below 2^53.",
    )
    capacity: Amount = Field(description="What the items taken may weigh together.")


class KnapsackParameters(SolverParameters):
    """The time limit, the seed and the threads; `knapsack` v1 needs no others."""


class KnapsackSolution(StrictModel):
    """The items taken.

    Solvers minimise a cost, so here `cost` is the value left behind: the sum of all values minus
    `value`. `lower_bound` is value that must be left behind whatever is taken, so no selection is
    worth more than `value + cost - lower_bound`; `gap` relates to the value left behind.
    """

    items: list[int] = Field(description="Numbers of the items taken, in increasing order.")
    value: int = Field(ge=0, description="Sum of the values of the items taken.")
    weight: int = Field(ge=0, description="Sum of the weights of the items taken.")
    cost: int = Field(ge=0, description="Sum of the values of the items left behind.")

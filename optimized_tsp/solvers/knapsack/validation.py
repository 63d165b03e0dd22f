"""The rule of an instance that concerns several fields: sums are exact."""

from __future__ import annotations

from optimized_tsp.solvers.contract import InvalidInstance, Problem
from optimized_tsp.solvers.knapsack.schemas import SUM_LIMIT, KnapsackInstance

__all__ = ["validate_instance"]


def validate_instance(instance: KnapsackInstance) -> None:
    """Raise `InvalidInstance` when the values or the weights add up to `SUM_LIMIT` or more."""
    sums = {
        "values": sum(item.value for item in instance.items),
        "weights": sum(item.weight for item in instance.items),
    }
    problems = [
        Problem(
            "/items",
            "inexact_sum",
            f"The {what} add up to {total}; they must stay below 2^53 ({SUM_LIMIT}) to be exact."
            " Use a larger unit.",
        )
        for what, total in sums.items()
        if total >= SUM_LIMIT
    ]
    if problems:
        raise InvalidInstance(problems)

"""Does a selection fit, and is it worth what it says? Independent of every algorithm."""

from __future__ import annotations

from itertools import pairwise

from optimized_tsp.solvers.contract import InvalidSolution
from optimized_tsp.solvers.knapsack.schemas import KnapsackInstance, KnapsackSolution

__all__ = ["check_selection"]


def check_selection(instance: KnapsackInstance, solution: KnapsackSolution) -> None:
    """Raise `InvalidSolution` unless the items exist, fit, and add up to what the solution says."""
    for number in solution.items:
        if not 0 <= number < len(instance.items):
            raise InvalidSolution(f"There is no item {number}.")
    for one, next_one in pairwise(solution.items):
        if one >= next_one:
            raise InvalidSolution(
                f"Item {next_one} comes after item {one}: not in order, or twice."
            )
    taken = [instance.items[number] for number in solution.items]
    value, weight = sum(item.value for item in taken), sum(item.weight for item in taken)
    if value != solution.value:
        raise InvalidSolution(f"The items are worth {value}, not {solution.value}.")
    if weight != solution.weight:
        raise InvalidSolution(f"The items weigh {weight}, not {solution.weight}.")
    if weight > instance.capacity:
        raise InvalidSolution(f"The items weigh {weight}, more than {instance.capacity}.")
    cost = sum(item.value for item in instance.items) - value
    if cost != solution.cost:
        raise InvalidSolution(f"The items left are worth {cost}, not {solution.cost}.")

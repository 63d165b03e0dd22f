"""Random knapsacks, and their optimum by methods that share nothing with the solver."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Literal

import numpy as np

from optimized_tsp.solvers.knapsack import KnapsackInstance, KnapsackItem

Kind = Literal["uncorrelated", "weakly", "strongly", "subset_sum", "with_zeros"]
KINDS: tuple[Kind, ...] = ("uncorrelated", "weakly", "strongly", "subset_sum", "with_zeros")


def knapsack(items: list[tuple[int, int]], capacity: int) -> KnapsackInstance:
    """An instance of (value, weight) pairs."""
    return KnapsackInstance(items=[KnapsackItem(*item) for item in items], capacity=capacity)


def random_knapsack(kind: Kind, *, num_items: int, largest: int, seed: int) -> KnapsackInstance:
    """The usual classes of test instances (Pisinger 2005), weights 1 to `largest`.

    Capacities reach from nothing to everything.
    """
    chance = random.Random(f"{kind} {num_items} {largest} {seed}")
    weights = [chance.randint(1, largest) for _ in range(num_items)]
    values = [_value(kind, weight, largest, chance) for weight in weights]
    if kind == "with_zeros":
        weights = [0 if chance.random() < 0.2 else weight for weight in weights]
    capacity = round(sum(weights) * chance.choice([0, 0.01, 0.3, 0.5, 0.5, 0.9, 1, 1.2]))
    return knapsack(list(zip(values, weights, strict=True)), capacity)


def hard_knapsack() -> KnapsackInstance:
    """Values per weight tell nothing: no proof at once, too large for one core."""
    return random_knapsack("strongly", num_items=20_000, largest=1_000_000, seed=4)


def unprovable_knapsack() -> KnapsackInstance:
    """45 weights of 47 bits: the bound is the capacity, hardly any of 2^45 selections meets it."""
    return random_knapsack("subset_sum", num_items=45, largest=10**14, seed=1)


def _value(kind: Kind, weight: int, largest: int, chance: random.Random) -> int:
    match kind:
        case "weakly":
            return max(1, weight + chance.randint(-largest // 10, largest // 10))
        case "strongly":
            return weight + max(1, largest // 10)
        case "subset_sum":
            return weight
        case "uncorrelated" | "with_zeros":
            return chance.randint(0, largest)


def best_value_by_dynamic_programming(instance: KnapsackInstance) -> int:
    """The most value for every capacity, item by item (Bellman 1957)."""
    most = np.zeros(instance.capacity + 1, dtype=np.int64)
    for item in instance.items:
        if item.weight <= instance.capacity:
            with_item = most[: len(most) - item.weight] + item.value
            most[item.weight :] = np.maximum(most[item.weight :], with_item)
    return int(most[-1])


def selections_that_fit(instance: KnapsackInstance) -> Iterator[tuple[int, ...]]:
    """Every one of them, as 0 or 1 for each item."""
    for selection in product((0, 1), repeat=len(instance.items)):
        if total(instance, selection).weight <= instance.capacity:
            yield selection


def total(instance: KnapsackInstance, selection: tuple[int, ...]) -> KnapsackItem:
    """Value and weight of a selection together."""
    taken = [item for item, yes in zip(instance.items, selection, strict=True) if yes]
    return KnapsackItem(sum(item.value for item in taken), sum(item.weight for item in taken))


def best_value_by_enumeration(instance: KnapsackInstance) -> int:
    """For few items with numbers too large for a table."""
    return max(total(instance, selection).value for selection in selections_that_fit(instance))

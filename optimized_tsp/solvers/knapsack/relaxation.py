"""The capacity at a price: a first selection, a bound on every selection, and what is decided.

Taking the capacity out of the constraints and charging `price / unit` for every unit of weight
leaves a problem without choices: take what is worth more than its weight costs. For any price >= 0
its value bounds the value of every selection; at the value per weight of the *break item*, the
first one that does not fit when the best ones are packed first, the bound is that of the fractional
problem (Dantzig 1957). Everything is exact: numbers are multiplied by `unit` instead of divided.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from optimized_tsp.solvers.knapsack.schemas import KnapsackInstance

__all__ = ["Candidates", "Relaxation"]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The items that may be worth taking (they have a value, and fit alone), best first.

    All algorithms number the items by their place here; `numbers` has their numbers in the
    instance.
    """

    numbers: list[int]
    values: list[int]
    weights: list[int]
    capacity: int

    @classmethod
    def of(cls, instance: KnapsackInstance) -> Candidates:
        items, capacity = instance.items, instance.capacity
        numbers = [i for i, item in enumerate(items) if item.value and item.weight <= capacity]
        # A rounding error in this order is no error in the bound, which holds for every price.
        numbers.sort(key=lambda i: items[i].weight / items[i].value)
        values = [items[i].value for i in numbers]
        return cls(numbers, values, [items[i].weight for i in numbers], capacity)

    def greedy(self) -> list[int]:
        """Take, best first, whatever still fits."""
        left, taken = self.capacity, []
        for place, weight in enumerate(self.weights):
            if weight <= left:
                left -= weight
                taken.append(place)
        return taken


@dataclass(frozen=True, slots=True)
class Relaxation:
    """What is known at one price.

    `gains` holds, times `unit`, each candidate's value minus the price of its weight. `split` is
    the place of the break item: everything before it fits.
    """

    gains: list[int]
    unit: int
    split: int
    scaled_bound: int

    @classmethod
    def at_break_item(cls, candidates: Candidates) -> Relaxation:
        """At the value per weight of the break item, or at no price when everything fits."""
        values, weights = candidates.values, candidates.weights
        packed = accumulate(weights)
        over = (place for place, weight in enumerate(packed) if weight > candidates.capacity)
        split = next(over, len(weights))
        price, unit = (values[split], weights[split]) if split < len(weights) else (0, 1)
        gains = [v * unit - w * price for v, w in zip(values, weights, strict=True)]
        relaxed = candidates.capacity * price + sum(gain for gain in gains if gain > 0)
        return cls(gains, unit, split, relaxed)

    @property
    def value_bound(self) -> int:
        """No selection is worth more."""
        return self.scaled_bound // self.unit

    def takes(self, place: int) -> bool:
        """Whether the relaxed problem takes the candidate; where it does not care, if it fits."""
        gain = self.gains[place]
        return gain > 0 or (gain == 0 and place < self.split)

    def undecided(self, value: int) -> list[int]:
        """What a selection worth more than `value` may take or leave, the closest call first.

        Such a selection has all others as the relaxed problem has them: the opposite lowers the
        bound by the gain (or loss), to `value` or less.
        """
        gains = self.gains
        most = self.scaled_bound - (value + 1) * self.unit
        places = [place for place, gain in enumerate(gains) if abs(gain) <= most]
        places.sort(key=lambda place: (abs(gains[place]), abs(place - self.split)))
        return places

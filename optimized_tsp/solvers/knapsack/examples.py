"""Ready instances: one to follow by hand, one that is hard for its size."""

from __future__ import annotations

import random
from typing import Any

from optimized_tsp.solvers.contract import Example

__all__ = ["hard_example", "hike_example"]

# What a hiker would like to have along: name, value in points, weight in grams.
_HIKE = (
    ("tent", 160, 2100),
    ("sleeping bag", 150, 1150),
    ("sleeping mat", 70, 480),
    ("rain jacket", 75, 340),
    ("fleece", 55, 410),
    ("stove and gas", 90, 620),
    ("pot", 45, 290),
    ("food for two days", 170, 1600),
    ("water, two litres", 200, 2050),
    ("water filter", 80, 90),
    ("map and compass", 65, 130),
    ("first aid kit", 70, 260),
    ("head torch", 40, 95),
    ("camera", 50, 730),
    ("binoculars", 25, 520),
    ("novel", 15, 310),
)
_HIKE_CAPACITY = 7000


def hike_example() -> Example:
    """Sixteen items with names."""
    return Example(
        name="weekend-hike",
        description="What to pack for a weekend in the hills: at most 7 kg, weights in grams.",
        submission=_submission([(value, weight) for _, value, weight in _HIKE], _HIKE_CAPACITY),
        labels=[name for name, _, _ in _HIKE],
        attribution="Made for this project.",
    )


def hard_example() -> Example:
    """Strongly correlated: value = weight + 100 (Pisinger 2005, "Where are the hard knapsack
    problems?"), so that the values per weight tell little."""
    weights = [random.Random(i).randint(1, 1000) for i in range(1, 501)]  # noqa: S311 - no secret
    items = [(weight + 100, weight) for weight in weights]
    return Example(
        name="strongly-correlated-500",
        description="Five hundred items whose values per weight tell little: value = weight + 100.",
        submission=_submission(items, sum(weights) // 2),
        labels=[],
        attribution="Generated, after D. Pisinger (2005).",
    )


def _submission(items: list[tuple[int, int]], capacity: int) -> dict[str, Any]:
    return {
        "instance": {
            "items": [{"value": value, "weight": weight} for value, weight in items],
            "capacity": capacity,
        },
        "optimization_parameters": {"timeout": 20},
    }

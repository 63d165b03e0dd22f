"""What to branch on: edges near one half, and sets of nodes entered about one and a half times.

Branching on sets: J.-M. Clochard and D. Naddef, "Using path inequalities in a branch and cut code
for the symmetric traveling salesman problem", 1993.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from optimized_tsp.solvers.tsp.branching.segment_kernels import undecided_segments
from optimized_tsp.solvers.tsp.relaxation.cut_kernels import activities
from optimized_tsp.solvers.tsp.relaxation.cuts import Cut, CutKind, CutTable, subtour
from optimized_tsp.solvers.tsp.relaxation.separation import Separator
from optimized_tsp.solvers.tsp.relaxation.support import Support
from optimized_tsp.solvers.tsp.relaxation.tour_lp import TourLp

__all__ = ["candidate_columns", "candidate_sets"]

_SEGMENTS = 4
_SEGMENT_TOLERANCE = 0.35
_POOL_SETS = 3
_POOL_TOLERANCE = 0.4
_POOL_LOOK = 1500
_INTEGRAL = 1e-6
_SUBTOUR_RHS = 2


def candidate_columns(lp: TourLp, most: int) -> list[int]:
    """The columns with the most fractional values."""
    fraction = np.minimum(lp.values, 1.0 - lp.values)
    order = np.argsort(-fraction, kind="stable")[:most]
    return [int(place) for place in order if fraction[place] > _INTEGRAL]


def candidate_sets(lp: TourLp, separator: Separator, taken: set[bytes]) -> list[Cut]:
    """Sets whose cut is near 3, as subtour constraints; those with a key in `taken` left out."""
    support = lp.support()
    sets = [*_segments(support, separator), *_known_sets(support, lp, separator.pool.cuts)]
    chosen = {cut.key: cut for cut in sets if cut.key not in taken}
    return list(chosen.values())


def _segments(support: Support, separator: Separator) -> Iterable[Cut]:
    found = undecided_segments(
        support.num_nodes,
        separator.positions,
        support.tails,
        support.heads,
        support.values,
        _SEGMENT_TOLERANCE,
        _SEGMENTS,
    )
    for first, last in found.tolist():
        inside = (separator.positions >= first) & (separator.positions <= last)
        cut = subtour(inside, CutKind.BRANCH)
        if cut is not None:
            yield cut


def _known_sets(support: Support, lp: TourLp, pool: list[Cut]) -> Iterable[Cut]:
    """Sets of subtour constraints in the program and in the pool."""
    cuts = [row.cut for row in lp.rows] + pool[-_POOL_LOOK:]
    cuts = [cut for cut in cuts if cut.rhs == _SUBTOUR_RHS]
    if not cuts:
        return []
    values = activities(support.num_nodes, *support.adjacency, *CutTable(cuts).arrays())
    distance = np.abs(values - 3.0)
    order = np.argsort(distance, kind="stable")[:_POOL_SETS]
    return [cuts[place] for place in order if distance[place] < _POOL_TOLERANCE]

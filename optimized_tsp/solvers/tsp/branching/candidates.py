"""What to branch on: edges near one half, and sets of nodes entered about one and a half times.

Branching on sets: J.-M. Clochard and D. Naddef, "Using path inequalities in a branch and cut code
for the symmetric traveling salesman problem", 1993.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from optimized_tsp.solvers.tsp.branching.segment_kernels import undecided_segments
from optimized_tsp.solvers.tsp.relaxation.cuts import Cut, CutKind, subtour
from optimized_tsp.solvers.tsp.relaxation.pool import CutPool
from optimized_tsp.solvers.tsp.relaxation.separation import Separator
from optimized_tsp.solvers.tsp.relaxation.support import Support
from optimized_tsp.solvers.tsp.relaxation.tour_lp import TourLp

__all__ = ["candidate_columns", "candidate_sets"]

_SEGMENTS = 4
_SEGMENT_TOLERANCE = 0.35
_POOL_SETS = 3
_POOL_TOLERANCE = 0.4
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
    sets = [*_segments(support, separator), *_known_sets(support, lp, separator.pool)]
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


def _known_sets(support: Support, lp: TourLp, pool: CutPool) -> Iterable[Cut]:
    """Sets of subtour constraints in the program and in the pool."""
    pooled, table = pool.content
    cuts, table = [row.cut for row in lp.rows] + pooled, lp.table + table
    subtours = table.rhs == _SUBTOUR_RHS
    cuts = [cut for cut, is_subtour in zip(cuts, subtours, strict=True) if is_subtour]
    distance = np.abs(support.slacks(table.only(subtours)) - 1.0)
    order = np.argsort(distance, kind="stable")[:_POOL_SETS]
    return [cuts[place] for place in order if distance[place] < _POOL_TOLERANCE]

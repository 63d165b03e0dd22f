"""Finding cuts that a fractional solution violates, the cheap ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.combs import violated_combs
from optimized_tsp.solvers.tsp.relaxation.cut_kernels import tighten_all
from optimized_tsp.solvers.tsp.relaxation.cuts import (
    Cut,
    CutKind,
    CutTable,
    cut_from_labels,
    subtour,
)
from optimized_tsp.solvers.tsp.relaxation.local import violated_local_cuts
from optimized_tsp.solvers.tsp.relaxation.pool import CutPool
from optimized_tsp.solvers.tsp.relaxation.subtour_kernels import light_cuts, light_segments
from optimized_tsp.solvers.tsp.relaxation.support import Support
from optimized_tsp.solvers.tsp.relaxation.tour_lp import TourLp

__all__ = ["Effort", "Separator"]

_LIGHT = 2.0 - 1e-3
_MOST_SEGMENTS = 300
_MOST_LIGHT_CUTS = 200
_FEW = 5
_ENOUGH = 20
_PER_CLASS = 60
_LOCAL_PER_ROUND = 100
_LEAST = 0.02
_LEAST_COMB = 0.01
_LEAST_LOCAL = 5e-4
_TIGHTENABLE_SLACK = 1.2
_TIGHTEN_SOURCES = 100
_MOST_TIGHTENED = 200


@dataclass(frozen=True)
class Effort:
    """How hard to look: `local_classes` 0 means no local cuts."""

    local_classes: int = 0
    local_seeds: int = 60


class Separator:
    """Searches for violated cuts; deterministic for a seed.

    `tour` is a good tour: its segments are likely to be violated subtours. Local cuts are
    searched for in as many threads as `threads()` says.
    """

    def __init__(
        self,
        tour: IntArray,
        seed: int,
        pool: CutPool,
        over: Callable[[], bool],
        threads: Callable[[], int] = lambda: 1,
    ) -> None:
        self.pool = pool
        self._threads = threads
        self._over = over
        self._seed = seed
        self.follow(tour)

    def follow(self, tour: IntArray) -> None:
        """Use another tour from now on."""
        self.tour = tour
        self.positions: IntArray = np.empty(len(tour), dtype=np.int64)
        self.positions[tour] = np.arange(len(tour))

    def add_violated(self, lp: TourLp, effort: Effort) -> int:
        """Add rows for cuts that the solution of `lp` violates; returns how many."""
        support = lp.support()
        if support.components[0] > 1:
            return len(lp.add_cuts(_component_cuts(support)))
        added = len(lp.add_cuts(self._segments(support)))
        if added < _FEW:
            added += len(lp.add_cuts(self._light_cuts(support)))
        if added > _ENOUGH or self._over():
            return added
        cuts = _most_violated(support, lp, violated_combs(support, self._next_seed()), _LEAST_COMB)
        if not self._over():
            cuts += _violated_in_pool(support, lp, self.pool)
            cuts += _tightened(support, lp, cuts)
        added += len(lp.add_cuts(cuts))
        if effort.local_classes > 0 and not self._over():
            added += len(lp.add_cuts(self._local_cuts(support, lp, effort)))
        return added

    def _next_seed(self) -> int:
        self._seed = (self._seed + 9973) % 2**31
        return self._seed

    def _segments(self, support: Support) -> Iterable[Cut]:
        segments = light_segments(
            support.num_nodes,
            self.positions,
            support.tails,
            support.heads,
            support.values,
            _LIGHT,
        )
        for first, last in segments[:_MOST_SEGMENTS].tolist():
            inside = (self.positions >= first) & (self.positions <= last)
            cut = subtour(inside)
            if cut is not None:
                yield cut

    def _light_cuts(self, support: Support) -> Iterable[Cut]:
        sets = light_cuts(
            support.num_nodes,
            support.tails,
            support.heads,
            support.values,
            _LIGHT,
            _MOST_LIGHT_CUTS,
        )
        return [cut for inside in sets if (cut := subtour(inside)) is not None]

    def _local_cuts(self, support: Support, lp: TourLp, effort: Effort) -> list[Cut]:
        cuts = violated_local_cuts(
            support,
            classes=effort.local_classes,
            seeds=effort.local_seeds,
            seed=self._next_seed(),
            over=self._over,
            threads=self._threads(),
        )
        return _most_violated(support, lp, cuts, _LEAST_LOCAL, _LOCAL_PER_ROUND, relative=True)


def _component_cuts(support: Support) -> Iterable[Cut]:
    count, labels = support.components
    for component in range(count):
        cut = subtour(labels == component)
        if cut is not None:
            yield cut


def _most_violated(
    support: Support,
    lp: TourLp,
    cuts: list[Cut],
    least: float,
    most: int = _PER_CLASS,
    *,
    relative: bool = False,
) -> list[Cut]:
    """The cuts violated by more than `least` (times the right-hand side, if `relative`)."""
    table = CutTable.of(cuts)
    slack = support.slacks(table)
    if relative:
        slack = slack / table.rhs
    order = np.argsort(slack, kind="stable")
    chosen = [cuts[place] for place in order if slack[place] < -least]
    return [cut for cut in chosen if not lp.has(cut)][:most]


def _violated_in_pool(support: Support, lp: TourLp, pool: CutPool) -> list[Cut]:
    cuts, table = pool.content
    slack = support.slacks(table)
    order = np.argsort(slack, kind="stable")
    chosen = [cuts[place] for place in order if slack[place] < -_LEAST]
    return [cut for cut in chosen if not lp.has(cut)][:_PER_CLASS]


def _tightened(support: Support, lp: TourLp, cuts: list[Cut]) -> list[Cut]:
    """Violated cuts made from rows of the program, and from some new cuts, by relabelling nodes."""
    new = cuts[:_TIGHTEN_SOURCES]
    sources = [row.cut for row in lp.rows] + new
    table = lp.table + CutTable.of(new)
    origins, labels, slacks = tighten_all(
        support.num_nodes,
        *support.adjacency,
        *table.arrays(),
        support.slacks(table),
        _TIGHTENABLE_SLACK,
        _LEAST,
        _MOST_TIGHTENED,
    )
    found = []
    for place in np.argsort(slacks, kind="stable")[:_PER_CLASS]:
        source = sources[origins[place]]
        cut = cut_from_labels(labels[place], source.weights, source.rhs, CutKind.TIGHTENED)
        if cut is not None:
            found.append(cut)
    return found

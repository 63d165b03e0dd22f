"""When the root looks harder for cuts, and when it stops."""

from __future__ import annotations

import math

from optimized_tsp.solvers.tsp.relaxation.separation import Effort

__all__ = ["RootProgress"]

_TAIL = 0.01
"""A round that closes less than this part of the gap is a stall."""
_PATIENCE = 2
_LAST_PATIENCE = 5
_FEWEST_CLASSES = 8
_MOST_CLASSES = 10
_MOST_CLASSES_IF_LARGE = 11
_LARGE = 400
_SMALL = 300
"""Nodes below which the tree is so short that local cuts at the root take longer than they save."""
_GUESSED_GAP = 0.05


class RootProgress:
    """Counts rounds that hardly helped; more and more effort, then the end."""

    def __init__(self, num_nodes: int) -> None:
        most = _MOST_CLASSES if num_nodes < _LARGE else _MOST_CLASSES_IF_LARGE
        self._most_classes = 0 if num_nodes < _SMALL else most
        self._classes = 0
        self._stalled = 0
        self._best = -math.inf

    @property
    def effort(self) -> Effort:
        return Effort(self._classes)

    def note(self, objective: float, upper_bound: int | None) -> None:
        """Take the objective of a round."""
        gap = _GUESSED_GAP * abs(objective) if upper_bound is None else upper_bound - objective
        helped = objective - self._best >= _TAIL * max(gap, 1.0)
        self._stalled = 0 if helped else self._stalled + 1
        self._best = max(self._best, objective)
        if self._stalled >= _PATIENCE and self._classes < self._most_classes:
            self._look_harder()

    def finished(self, added: int) -> bool:
        """Whether nothing more is to be expected after a round that added so many cuts."""
        if added == 0 and self._classes < self._most_classes:
            self._look_harder()
            return False
        enough = added == 0 or self._stalled >= _LAST_PATIENCE
        return enough and self._classes == self._most_classes

    def restart(self) -> None:
        """New edges: the objective may fall, and rise again with the cuts of before."""
        self._best = -math.inf
        self._stalled = min(self._stalled, _PATIENCE)

    def _look_harder(self) -> None:
        self._classes = max(_FEWEST_CLASSES, self._classes + 1)
        self._stalled = 0

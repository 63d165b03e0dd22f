"""The Held-Karp bound of many points, without a matrix of their distances.

Penalties on nodes are raised where the minimum 1-tree has few edges and lowered where it has many,
so that it becomes more like a tour and costs more. The ascent looks at neighbour lists only, in
floating point; what is called a bound is the minimum 1-tree of all pairs in integers.

M. Held and R. M. Karp, "The traveling-salesman problem and minimum spanning trees: Part II", 1971;
directions averaged as in F. Barahona and R. Anbil, "The volume algorithm", 2000.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray
from optimized_tsp.solvers.tsp.relaxation.one_tree_kernels import (
    IN_TREE,
    grow_tree,
    sparse_one_tree,
)
from optimized_tsp.solvers.tsp.tours.edge_costs import CostRule, edge_costs
from optimized_tsp.solvers.tsp.tours.neighbours import near_neighbours

__all__ = ["PenaltyAscent"]

_NEIGHBOURS = 10
_UNIT = 256
"""Penalties are whole multiples of 1 / 256 of a cost."""
_SUM_BITS = 60
"""n * cost is below 2**53: with penalties below 2**60 / n no sum comes near 63 bits."""
_FIRST_ROUNDS = (50, 150, 400)
_NEXT_ROUNDS = 150
"""Steps before the first looks at all pairs, and before each one after them."""
_FIRST_LENGTH = 4.0
_NEXT_LENGTH = 0.3
_HALVED_EVERY = 75
_MEMORY = 0.9
_HOPE = 1.05
"""How far above the bound so far the steps aim at most, whatever the tour costs."""
_LEAST_GAIN = 2e-5
_PAIRS_PER_PIECE = 10_000_000
"""Between two looks at the clock: well below a second also on the globe."""


class PenaltyAscent:
    """Rising bounds for round trips between points; `order` is one of them.

    The rule is one of points, so that any two nodes are joined; 5 nodes or more.
    """

    def __init__(self, rule: CostRule, order: IntArray) -> None:
        self.lower_bound: int | None = None
        self._rule = rule
        self._num_nodes = rule.num_nodes
        self._penalties: FloatArray = np.zeros(rule.num_nodes)
        self._direction: FloatArray = np.zeros(rule.num_nodes)
        self._keys: IntArray = np.empty(0, dtype=np.int64)
        near = near_neighbours(rule, _NEIGHBOURS)[0].astype(np.int64)
        tails = np.repeat(np.arange(rule.num_nodes), near.shape[1])
        # The tour's edges, so that all nodes are connected.
        self._add(np.append(tails, order), np.append(near.ravel(), np.roll(order, -1)))

    def run(
        self,
        upper_bound: Callable[[], int],
        over: Callable[[], bool],
        on_bound: Callable[[int], None],
    ) -> None:
        """Raise the bound until it hardly rises or `over()`; every bound is reported.

        `upper_bound`, the cost of the best tour known, guides the steps.
        """
        length = _FIRST_LENGTH
        for steps in chain(_FIRST_ROUNDS, repeat(_NEXT_ROUNDS)):
            length = self._ascend(steps, length, upper_bound(), over)
            penalties = self._whole_penalties()
            tree = self._minimum_one_tree(penalties, over)
            if tree is None:
                return
            before, found = self.lower_bound, self._bound(*tree, penalties)
            if before is None or found > before:
                self.lower_bound = found
                on_bound(found)
            self._add(*tree)
            last = before is not None and found - before < _LEAST_GAIN * found
            if last and steps == _NEXT_ROUNDS:
                return
            length = max(length, _NEXT_LENGTH)

    def _add(self, tails: IntArray, heads: IntArray) -> None:
        """Look at these edges too from now on."""
        keys = np.minimum(tails, heads) * self._num_nodes + np.maximum(tails, heads)
        self._keys = np.union1d(self._keys, keys)
        self._tails, self._heads = np.divmod(self._keys, self._num_nodes)
        self._costs: FloatArray = edge_costs(self._rule.costs, self._tails, self._heads).astype(
            np.float64
        )

    def _ascend(self, steps: int, length: float, target: int, over: Callable[[], bool]) -> float:
        """Leave the best penalties of so many steps; returns the length of the next one."""
        penalties, best = self._penalties, -np.inf
        limit = float((1 << _SUM_BITS) // (_UNIT * self._num_nodes))
        for _ in range(steps):
            if over():
                break
            weights = self._costs + penalties[self._tails] + penalties[self._heads]
            weight, degree = sparse_one_tree(
                self._num_nodes, self._tails, self._heads, weights, np.argsort(weights)
            )
            bound = weight - 2.0 * float(penalties.sum())
            if bound > best:
                best, self._penalties = bound, penalties
            excess = (degree - 2).astype(np.float64)
            self._direction = _MEMORY * self._direction + (1.0 - _MEMORY) * excess
            norm = float(excess @ excess)
            if norm == 0.0:
                break
            aim = min(float(target), _HOPE * best)
            step = length * max(aim - bound, 1.0) / norm
            penalties = np.clip(penalties + step * self._direction, -limit, limit)
            length *= 0.5 ** (1.0 / _HALVED_EVERY)
        return length

    def _whole_penalties(self) -> IntArray:
        return np.rint(self._penalties * _UNIT).astype(np.int64)

    def _minimum_one_tree(
        self, penalties: IntArray, over: Callable[[], bool]
    ) -> tuple[IntArray, IntArray] | None:
        """The edges of the minimum 1-tree of all pairs, None when it is over before."""
        n = self._num_nodes
        nearest = np.full(n, np.iinfo(np.int64).max)
        nearest[:2] = IN_TREE
        parent, row = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        node, piece = 1, max(1, _PAIRS_PER_PIECE // n)
        while node >= 0:
            if over():
                return None
            node = grow_tree(self._rule.costs, _UNIT, penalties, nearest, parent, row, node, piece)
        others = np.arange(1, n)
        at_root = _UNIT * edge_costs(self._rule.costs, np.zeros_like(others), others)
        two = others[np.argpartition(at_root + penalties[1:], 1)[:2]]
        return np.concatenate([parent[2:], [0, 0]]), np.concatenate([np.arange(2, n), two])

    def _bound(self, tails: IntArray, heads: IntArray, penalties: IntArray) -> int:
        """What every tour costs at least by a minimum 1-tree, rounded up to a whole cost."""
        cost = int(edge_costs(self._rule.costs, tails, heads).sum())
        degree = np.bincount(np.concatenate([tails, heads]), minlength=self._num_nodes)
        return -(-(_UNIT * cost + int((degree - 2) @ penalties)) // _UNIT)

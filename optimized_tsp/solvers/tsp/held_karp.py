"""The Held-Karp bound: node penalties under which the cheapest 1-tree costs the most.

The ascent runs in floating point on a sparse graph of promising edges; whatever is used as a bound
is computed again on the full graph in exact integers, so nothing rests on rounding.

M. Held and R. M. Karp, "The traveling-salesman problem and minimum spanning trees: Part II", 1971;
step sizes as in T. Volgenant and R. Jonker, "A branch and bound algorithm ...", 1982.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.one_tree import OneTree, edge_bounds, minimum_one_tree

__all__ = ["HeldKarp"]

FloatArray = NDArray[np.float64]

_NEIGHBOURS = 8
_ROUNDS = 6
_FIRST_STEP = 1.0
_LAST_STEP = 0.01
_MOST_STEPS = 500
_PATIENCE = 10
_PROGRESS = 1e-4


class HeldKarp:
    """Bounds for tours of a symmetric graph (n >= 3); `forced` edges are in every tour.

    `costs` holds `NO_EDGE` where there is no edge. Penalties are integers in units of 1/`unit` of a
    cost, chosen so that no sum can overflow 64 bits.
    """

    def __init__(
        self,
        costs: IntArray,
        forced: tuple[IntArray, IntArray] | None = None,
        penalties: IntArray | None = None,
    ) -> None:
        present = costs != NO_EDGE
        largest = max(1, int(costs[present].max(initial=0)))
        self.num_nodes = len(costs)
        self.unit = min(1024, 2**57 // (self.num_nodes * largest))
        self._limit = 2 * largest * self.unit
        self._weights = np.where(present, costs * self.unit, NO_EDGE)
        self._reward = 0
        if forced is not None:
            # Cheaper than any other edge under any penalties, so that every 1-tree has them all.
            each = 5 * self._limit + 1
            self._reward = each * len(forced[0])
            for ends in (forced, forced[::-1]):
                self._weights[ends] -= each
        self._penalties = np.zeros(self.num_nodes, dtype=np.int64)
        if penalties is not None:
            self._penalties = np.clip(penalties * self.unit, -self._limit, self._limit)
        self._best: int | None = None

    @property
    def lower_bound(self) -> int | None:
        """The best bound so far: no tour costs less. None when there is no 1-tree at all."""
        return None if self._best is None else -(-self._best // self.unit)

    def ascend(
        self,
        upper: int | None,
        tour: IntArray | None,
        over: Callable[[], bool],
        on_bound: Callable[[int], None],
    ) -> None:
        """Raise the bound until it hardly rises or `over()`; report every exact bound.

        `upper`, the cost of `tour`, only guides the step sizes.
        """
        tree = self._evaluate(self._penalties, on_bound)
        if tree is None:
            return
        sparse = _SparseGraph(self._weights, self._reward, self._limit)
        sparse.add(*tree.edges())
        if tour is not None:
            sparse.add(tour, np.roll(tour, -1))
        for _ in range(_ROUNDS):
            target = None if upper is None else float(upper * self.unit)
            real = sparse.ascend(self._penalties, target, over)
            penalties = np.clip(np.rint(real), -self._limit, self._limit).astype(np.int64)
            tree = self._evaluate(penalties, on_bound)
            if tree is None or over() or not sparse.add(*tree.edges()):
                return

    def _evaluate(self, penalties: IntArray, on_bound: Callable[[int], None]) -> OneTree | None:
        """The exact 1-tree under these penalties; they are kept when it is the best."""
        tree = minimum_one_tree(self._penalized(penalties))
        if tree is None:
            return None
        bound = tree.weight + self._reward - 2 * int(penalties.sum())
        if self._best is None or bound > self._best:
            self._best, self._penalties = bound, penalties
            on_bound(-(-bound // self.unit))
        return tree

    def _penalized(self, penalties: IntArray) -> IntArray:
        weights: IntArray = self._weights + penalties[:, None]
        weights += penalties[None, :]
        return weights

    def promising(self, upper: int) -> NDArray[np.bool_]:
        """Edges that a tour cheaper than `upper` may use, as a symmetric matrix.

        Every tour through any other edge is proven to cost at least `upper`.
        """
        weights = self._penalized(self._penalties)
        tree = minimum_one_tree(weights)
        if tree is None:
            return np.zeros_like(weights, dtype=bool)
        bounds = edge_bounds(weights, tree)
        offset = self._reward - 2 * int(self._penalties.sum())
        return (bounds <= (upper - 1) * self.unit - offset) & (self._weights < NO_EDGE // 2)


class _SparseGraph:
    """Promising edges, with minimum 1-trees by scipy: cheaper than full ones, and no bounds."""

    def __init__(self, weights: IntArray, reward: int, limit: int) -> None:
        self._weights = weights
        self._reward = reward
        self._limit = limit
        num_nodes = len(weights)
        self._keys: IntArray = np.empty(0, dtype=np.int64)
        width = min(_NEIGHBOURS, num_nodes - 1)
        near = [np.argpartition(row, width - 1)[:width] for row in weights]
        self.add(np.repeat(np.arange(num_nodes), width), np.concatenate(near))

    def add(self, tails: IntArray, heads: IntArray) -> bool:
        """Add edges; return whether any of them is new."""
        num_nodes = len(self._weights)
        low, high = np.minimum(tails, heads), np.maximum(tails, heads)
        known = len(self._keys)
        present = (low > 0) & (self._weights[low, high] < NO_EDGE // 2)
        keys = np.union1d(self._keys, low[present] * num_nodes + high[present])
        self._keys = keys
        self._low, self._high = np.divmod(keys, num_nodes)
        self._cost = self._weights[self._low, self._high].astype(np.float64)
        self._starts = np.searchsorted(self._low, np.arange(num_nodes + 1))
        return len(keys) > known

    def one_tree(self, penalties: FloatArray) -> tuple[float, IntArray]:
        """Bound by the cheapest 1-tree under these penalties, and the degrees of its nodes."""
        num_nodes = len(penalties)
        costs = self._cost + penalties[self._low] + penalties[self._high]
        shift = 1.0 - float(costs.min())  # scipy takes a weight of 0 for a missing edge
        graph = csr_array((costs + shift, self._high, self._starts), shape=(num_nodes, num_nodes))
        tree = minimum_spanning_tree(graph)
        ends = np.concatenate([np.repeat(np.arange(num_nodes), np.diff(tree.indptr)), tree.indices])
        degree = np.bincount(ends, minlength=num_nodes)
        root = self._weights[0] + penalties + penalties[0]
        first, second = np.argpartition(root[1:], 1)[:2] + 1
        degree[[first, second]] += 1
        degree[0] = 2
        weight = float(tree.data.sum()) - shift * (num_nodes - 2) + root[first] + root[second]
        return float(weight + self._reward - 2.0 * penalties.sum()), degree

    def ascend(self, start: IntArray, target: float | None, over: Callable[[], bool]) -> FloatArray:
        """Penalties that raise the bound towards `target`; without a tour it may have no end."""
        penalties = start.astype(np.float64)
        best, best_penalties = -np.inf, start.astype(np.float64)
        last: FloatArray = np.zeros(len(penalties))
        step, idle = _FIRST_STEP, 0
        for _ in range(_MOST_STEPS):
            bound, degree = self.one_tree(penalties)
            excess = (degree - 2).astype(np.float64)
            norm = float(excess @ excess)
            idle = 0 if bound > best + _PROGRESS * abs(best) else idle + 1
            if bound > best:
                best = bound
                best_penalties[:] = penalties
            if idle > _PATIENCE:
                step, idle = step * 0.7, 0
            if norm == 0.0 or step < _LAST_STEP or over():
                break
            gap = (1.01 * best if target is None else target) - bound
            length = step * max(gap, 1e-9 * abs(bound)) / norm
            penalties += length * (0.7 * excess + 0.3 * last)
            np.clip(penalties, -self._limit, self._limit, out=penalties)
            last = excess
        return best_penalties

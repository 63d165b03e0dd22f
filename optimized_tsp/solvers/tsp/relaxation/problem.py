"""The symmetric problem that the relaxation and the tree solve."""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.assignment import doubled_costs

__all__ = ["SymmetricProblem"]

_FEWEST_NODES = 3
_COST_BITS = 54
"""One more than what n * cost is allowed to have, for the 2n nodes of asymmetric instances."""


class SymmetricProblem:
    """A complete or sparse symmetric graph with integer costs, and edges that every tour has.

    `costs` is a symmetric n x n matrix, n >= 3, with `NO_EDGE` for missing edges and 0 <= cost,
    n * cost < 2**54 (else ValueError); its diagonal is ignored. Both edges of a node that has
    exactly two are in every tour, besides those of `forced` (pairs of nodes).
    """

    def __init__(self, costs: IntArray, forced: tuple[IntArray, IntArray] | None = None) -> None:
        self.num_nodes = len(costs)
        if self.num_nodes < _FEWEST_NODES:
            raise ValueError(f"a tour needs {_FEWEST_NODES} nodes, not {self.num_nodes}")
        self.costs: IntArray = np.array(costs, dtype=np.int64, order="C")
        np.fill_diagonal(self.costs, NO_EDGE)
        present = self.costs < NO_EDGE // 2
        self.largest_cost = int(self.costs[present].max(initial=0))
        if self.num_nodes * self.largest_cost >= 1 << _COST_BITS or (self.costs < 0).any():
            limit = f"n times the largest below 2**{_COST_BITS}"
            raise ValueError(f"costs must be 0 or more, and {limit}")
        tails, heads = forced if forced is not None else (np.empty(0, np.int64),) * 2
        degrees = present.sum(axis=1)
        self.dead_end = bool((degrees < 2).any())
        """Some node has fewer than two edges, so that there is no tour."""
        middle = np.flatnonzero(degrees == 2)
        places, others = np.nonzero(present[middle])
        self.forced = np.unique(
            np.concatenate([self.keys(tails, heads), self.keys(middle[places], others)])
        )
        """Sorted keys (see `keys`) of the edges that are in every tour."""

    @classmethod
    def from_arcs(cls, costs: IntArray) -> SymmetricProblem:
        """The problem of 2n nodes whose tours are the tours of an asymmetric matrix (n >= 2).

        Node i is entered, n + i is left; an edge of cost 0 that is in every tour joins the two.
        """
        doubled, pairs = doubled_costs(costs)
        return cls(doubled, pairs)

    def keys(self, tails: IntArray, heads: IntArray) -> IntArray:
        """One number for an edge: low * n + high."""
        keys: IntArray = np.minimum(tails, heads) * self.num_nodes + np.maximum(tails, heads)
        return keys

    def ends(self, keys: IntArray) -> tuple[IntArray, IntArray]:
        """The two nodes of every edge, the lower one first."""
        tails, heads = np.divmod(keys, self.num_nodes)
        return tails, heads

    def tour_keys(self, order: IntArray) -> IntArray:
        """The keys of the edges of a tour."""
        return self.keys(order, np.roll(order, -1))

    def tour_cost(self, order: IntArray) -> int | None:
        """Cost of a tour; None if an edge is missing or a forced one not used."""
        steps = self.costs[order, np.roll(order, -1)]
        if (steps >= NO_EDGE // 2).any():
            return None
        if len(np.setdiff1d(self.forced, self.tour_keys(order))) > 0:
            return None
        return int(steps.sum())

    def nearest(self, width: int) -> IntArray:
        """Keys of the edges from every node to its `width` nearest neighbours."""
        width = min(width, self.num_nodes - 1)
        near = np.concatenate([np.argpartition(row, width - 1)[:width] for row in self.costs])
        tails = np.repeat(np.arange(self.num_nodes), width)
        present = self.costs[tails, near] < NO_EDGE // 2
        return np.unique(self.keys(tails[present], near[present]))

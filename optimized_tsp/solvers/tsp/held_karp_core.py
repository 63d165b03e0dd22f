"""The Held-Karp bound of a dense graph, and the arcs that it does not rule out."""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.assignment import assignment_penalties, doubled_costs
from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT, DenseGraph
from optimized_tsp.solvers.tsp.held_karp import HeldKarp
from optimized_tsp.solvers.tsp.search import Search

__all__ = ["HeldKarpCore"]

_SECONDS_PER_PAIR = 6e-8

_FIXING_LIMIT = 2_500
"""Nodes (of the symmetric graph) up to which single edges are ruled out: a few matrices of them."""


class HeldKarpCore:
    """Raises the bound of the search when made, as far as time allows; then knows what is open.

    A bound without floating point and without a linear program: what is left when those fail.
    """

    def __init__(self, search: Search, graph: DenseGraph) -> None:
        self._search = search
        self._graph = graph
        self._held_karp: HeldKarp | None = None
        nodes = graph.num_nodes if graph.symmetric else 2 * graph.num_nodes
        # One look at all edges takes about so long, and cannot be interrupted.
        self._look_s = _SECONDS_PER_PAIR * nodes**2
        if nodes > DENSE_LIMIT or self._too_late():
            return
        if graph.symmetric:
            held_karp, tour = HeldKarp(graph.costs), search.tour
        else:
            held_karp, tour = self._doubled()
        dearest = graph.num_nodes * int(graph.costs[graph.costs != NO_EDGE].max())

        def on_bound(bound: int) -> None:
            # Without a tour the bound may rise and rise; a tour cannot cost more than this.
            if bound > dearest:
                search.rule_out_tours("held_karp")
            else:
                search.raise_bound(bound, "held_karp")

        held_karp.ascend(search.cost, tour, self._too_late, on_bound)
        search.note("held_karp_bound", held_karp.lower_bound)
        if nodes <= _FIXING_LIMIT and held_karp.lower_bound is not None:
            self._held_karp = held_karp

    def open_arcs(self) -> tuple[IntArray, IntArray]:
        """Arcs of every tour cheaper than the best one known, and of that one."""
        tour, cost = self._search.tour, self._search.cost
        if self._held_karp is None or tour is None or cost is None or self._too_late():
            return self._graph.arcs()
        promising = self._held_karp.promising(cost)
        if not self._graph.symmetric:
            num_nodes = self._graph.num_nodes
            promising = promising[num_nodes:, :num_nodes]
            np.fill_diagonal(promising, val=False)
        promising[tour, np.roll(tour, -1)] = True
        if self._graph.symmetric:
            promising |= promising.T
        source, target = np.nonzero(promising)
        return source, target

    def _too_late(self) -> bool:
        return self._search.over() or self._search.remaining() < 4.0 * self._look_s

    def _doubled(self) -> tuple[HeldKarp, IntArray | None]:
        graph, tour = self._graph, self._search.tour
        costs, pairs = doubled_costs(graph.costs)
        penalties = assignment_penalties(graph.costs)
        if tour is not None:
            tour = np.stack([tour, tour + graph.num_nodes], axis=1).ravel()
        return HeldKarp(costs, pairs, penalties), tour

"""Good tours of a dense graph, one after the other, each in a limited time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.fast_heuristic import (
    EXACT_NODES,
    asymmetric_weights,
    find_fast_tour,
    pairs_to_tour,
    symmetric_weights,
)
from optimized_tsp.solvers.tsp.graph import DenseGraph
from optimized_tsp.solvers.tsp.search import Search

__all__ = ["TourFinder", "nearest_neighbour_tour"]

_TOP = 60_000
_LOWEST_TOP = 16
_SECONDS_PER_PAIR = 1e-7
_SHORTEST_SLICE_S = 0.005
_LONGEST_SLICE_S = 1.0


def nearest_neighbour_tour(costs: IntArray) -> IntArray:
    """Always on to the nearest node not yet visited, by missing edges where nothing is left."""
    unvisited = np.zeros(len(costs), dtype=np.int64)
    order = np.zeros(len(costs), dtype=np.int64)
    for step in range(1, len(costs)):
        # More than a missing edge, so that a visited node is never the nearest.
        unvisited[order[step - 1]] = 2 * NO_EDGE - 1
        order[step] = int(np.maximum(costs[order[step - 1]], unvisited).argmin())
    return order


class TourFinder:
    """Runs the heuristic in slices that grow, and offers what it finds to the search.

    A slice starts afresh (the heuristic takes no start tour), with weights scaled for what is known
    by then: edges twice as long as the longest in the best tour count as equally long. While there
    is no tour without missing edges, existing edges count for less and less.
    """

    def __init__(self, search: Search, graph: DenseGraph, threads: int) -> None:
        self._search = search
        self._graph = graph
        self._threads = threads
        self._top = _TOP if graph.complete else _TOP // 2
        nodes = graph.num_nodes if graph.symmetric else 2 * graph.num_nodes
        # A cancelled slice runs on to its end in the background, so slices stay short.
        self._slice_s = 0.05 + nodes / 5_000
        self._longest_slice_s = max(_LONGEST_SLICE_S, nodes / 1_000)
        self._pairs = nodes * nodes
        self.exact = nodes <= EXACT_NODES

    @property
    def too_late(self) -> bool:
        """No time is left to prepare another slice."""
        search = self._search
        return search.over() or search.remaining() < _SECONDS_PER_PAIR * self._pairs

    def next_slice(self, give_up: Callable[[], bool] | None = None) -> None:
        """Search for one slice: twice as long as the last, at most a quarter of what is left."""
        search, graph = self._search, self._graph
        scaled = symmetric_weights if graph.symmetric else asymmetric_weights
        weights = scaled(graph.costs, self._longest(), top=self._top)
        seconds = max(_SHORTEST_SLICE_S, min(self._slice_s, 0.25 * search.remaining()))
        self._slice_s = min(2.0 * self._slice_s, self._longest_slice_s)
        order = find_fast_tour(weights, seconds, self._threads, give_up or search.cancelled)
        if order is not None:
            search.offer_tour(order if graph.symmetric else pairs_to_tour(order))
        if search.tour is None:
            self._top = max(self._top // 8, _LOWEST_TOP)

    def _longest(self) -> int:
        """The cost from which on all edges may count as equally expensive."""
        costs, tour = self._graph.costs, self._search.tour
        if tour is not None:
            return max(1, 2 * int(costs[tour, np.roll(tour, -1)].max()))
        return max(1, int(costs[costs != NO_EDGE].max()))

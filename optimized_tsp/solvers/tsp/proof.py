"""A dense graph: a tour at once, then bounds, then CP-SAT on the arcs that may still matter."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.assignment import assignment_penalties, doubled_costs
from optimized_tsp.solvers.tsp.circuit_model import solve_circuit
from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT, DenseGraph
from optimized_tsp.solvers.tsp.held_karp import HeldKarp
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tour_finder import TourFinder, nearest_neighbour_tour

__all__ = ["settle_arcs", "solve_dense"]

_FIXING_LIMIT = 2_500
"""Nodes (of the symmetric graph) up to which single edges are ruled out: a few matrices of them."""

_ARCS_PER_SECOND = 30_000
"""Arcs a CP-SAT model may have for every second left, so that building it takes a small part."""

_FIRST_SLICES = 2
_SLICES_WITHOUT_TOUR = 4


def solve_dense(search: Search, graph: DenseGraph, *, threads: int, seed: int) -> None:
    """Search until the best tour is proven, all tours are ruled out, or the search is over."""
    finder = TourFinder(search, graph, threads)
    if search.tour is None:
        search.offer_tour(nearest_neighbour_tour(graph.costs))
    for slices in range(_SLICES_WITHOUT_TOUR):
        if search.over() or (slices >= _FIRST_SLICES and search.tour is not None):
            break
        finder.next_slice()
    search.note("heuristic_cost", search.cost)
    bounds = _Bounds(search, graph)
    while not search.over():
        source, target = bounds.open_arcs()
        if len(source) > _ARCS_PER_SECOND * search.remaining():
            finder.next_slice()
            continue
        with _improving(search, finder, enabled=threads > 1 and search.tour is not None):
            settle_arcs(search, source, target, seed=seed)
        if not search.over():
            finder.next_slice()


def settle_arcs(search: Search, source: IntArray, target: IntArray, *, seed: int) -> None:
    """CP-SAT on arcs that hold every tour cheaper than the best one known.

    A bound on these arcs bounds the full problem as long as it is not above that best cost.
    """
    cutoff = search.cost

    def raise_bound(bound: int) -> None:
        search.raise_bound(bound if cutoff is None else min(bound, cutoff))

    began = time.monotonic()
    result = solve_circuit(search, source, target, seed=seed, on_bound=raise_bound)
    search.add_to("cp_sat_s", round(time.monotonic() - began, 3))
    search.add_to("cp_sat_runs", 1)
    search.note("cp_sat_arcs", len(source))
    if result.lower_bound is not None:
        raise_bound(result.lower_bound)
    elif result.no_tour and cutoff is None:
        search.rule_out_tours()
    elif result.no_tour and cutoff is not None:
        search.raise_bound(cutoff)


class _Bounds:
    """The Held-Karp bound of a dense graph, and the arcs it does not rule out."""

    def __init__(self, search: Search, graph: DenseGraph) -> None:
        self._search = search
        self._graph = graph
        self._held_karp: HeldKarp | None = None
        nodes = graph.num_nodes if graph.symmetric else 2 * graph.num_nodes
        if search.over() or nodes > DENSE_LIMIT:
            return
        if graph.symmetric:
            held_karp, tour = HeldKarp(graph.costs), search.tour
        else:
            held_karp, tour = self._doubled()
        held_karp.ascend(search.cost, tour, search.over, search.raise_bound)
        search.note("held_karp_bound", held_karp.lower_bound)
        if nodes <= _FIXING_LIMIT and held_karp.lower_bound is not None:
            self._held_karp = held_karp

    def _doubled(self) -> tuple[HeldKarp, IntArray | None]:
        graph, tour = self._graph, self._search.tour
        costs, pairs = doubled_costs(graph.costs)
        penalties = assignment_penalties(graph.costs)
        if tour is not None:
            tour = np.stack([tour, tour + graph.num_nodes], axis=1).ravel()
        return HeldKarp(costs, pairs, penalties), tour

    def open_arcs(self) -> tuple[IntArray, IntArray]:
        """Arcs of every tour cheaper than the best one known, and of that one."""
        tour, cost = self._search.tour, self._search.cost
        if self._held_karp is None or tour is None or cost is None:
            return self._graph.arcs()
        promising = self._held_karp.promising(cost)
        if not self._graph.symmetric:
            num_nodes = self._graph.num_nodes
            promising = promising[num_nodes:, :num_nodes]
            np.fill_diagonal(promising, val=False)
        promising[tour, np.roll(tour, -1)] = True
        source, target = np.nonzero(promising)
        return source, target


@contextmanager
def _improving(search: Search, finder: TourFinder, *, enabled: bool) -> Iterator[None]:
    """Keep looking for better tours in another thread."""
    if not enabled:
        yield
        return
    done = threading.Event()

    def give_up() -> bool:
        return done.is_set() or search.over()

    def improve() -> None:
        while not give_up():
            finder.next_slice(give_up)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tours") as executor:
        improving = executor.submit(improve)
        try:
            yield
        finally:
            done.set()
        improving.result()

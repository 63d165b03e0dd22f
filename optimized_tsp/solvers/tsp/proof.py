"""A dense graph: a tour at once, then bounds, then CP-SAT on the arcs that may still matter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.assignment import assignment_penalties, doubled_costs
from optimized_tsp.solvers.tsp.circuit_model import solve_circuit
from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT, ArcGraph, DenseGraph
from optimized_tsp.solvers.tsp.held_karp import HeldKarp
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tour_finder import TourFinder, nearest_neighbour_tour

__all__ = ["settle_sparse", "solve_dense"]

_FIXING_LIMIT = 2_500
"""Nodes (of the symmetric graph) up to which single edges are ruled out: a few matrices of them."""

_ARCS_PER_SECOND = 30_000
"""Arcs a CP-SAT model may have for every second left, so that building it takes a small part."""

_MOST_ARCS = 500_000
"""Arcs a CP-SAT model may have however much time there is: about 1 GB."""

_HARD_FOR_HEURISTIC = 200
"""Nodes from which on the heuristic's first tours are often not the best ones."""

_SECONDS_PER_PAIR = 6e-8

_FIRST_SLICES = 2
_FIRST_SLICES_IF_HARD = 3

_MUCH_BETTER = 0.7
"""A gap this much smaller leaves so few arcs that CP-SAT is better started again on those."""


def solve_dense(search: Search, graph: DenseGraph, *, threads: int, seed: int) -> None:
    """Search until the best tour is proven, all tours are ruled out, or the search is over."""
    search.note("method", "held-karp, circuit")
    finder = TourFinder(search, graph, threads)
    if search.tour is None:
        search.offer_tour(nearest_neighbour_tour(graph.costs))
    hard = graph.num_nodes >= _HARD_FOR_HEURISTIC
    for slices in range(_FIRST_SLICES_IF_HARD if hard else _FIRST_SLICES):
        if not finder.too_late and not (finder.exact and slices > 0 and search.tour is not None):
            finder.next_slice()
    search.note("heuristic_cost", search.cost)
    bounds = _Bounds(search, graph)
    while not finder.too_late:
        source, target = bounds.open_arcs()
        if not _is_worth_a_model(search, source):
            finder.next_slice()
            continue
        with _improving(search, finder, enabled=threads > 1 and hard):
            _settle_arcs(search, source, target, seed=seed, outdated=bounds.outdated())


def settle_sparse(search: Search, graph: ArcGraph, *, seed: int) -> None:
    """CP-SAT on all arcs of a graph too large for anything else, if it is not too large for it."""
    source, target = graph.arcs()
    if _is_worth_a_model(search, source):
        _settle_arcs(search, source, target, seed=seed)


def _is_worth_a_model(search: Search, arcs: IntArray) -> bool:
    return len(arcs) <= min(_MOST_ARCS, _ARCS_PER_SECOND * search.remaining())


def _settle_arcs(
    search: Search,
    source: IntArray,
    target: IntArray,
    *,
    seed: int,
    outdated: Callable[[], bool] = lambda: False,
) -> None:
    """CP-SAT on arcs that hold every tour cheaper than the best one known, until `outdated()`.

    A bound on these arcs bounds the full problem as long as it is not above that best cost.
    """
    cutoff = search.cost

    def raise_bound(bound: int) -> None:
        search.raise_bound(bound if cutoff is None else min(bound, cutoff))

    began = time.monotonic()
    result = solve_circuit(
        search, source, target, seed=seed, on_bound=raise_bound, outdated=outdated
    )
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
                search.rule_out_tours()
            else:
                search.raise_bound(bound)

        held_karp.ascend(search.cost, tour, self._too_late, on_bound)
        search.note("held_karp_bound", held_karp.lower_bound)
        if nodes <= _FIXING_LIMIT and held_karp.lower_bound is not None:
            self._held_karp = held_karp

    def _too_late(self) -> bool:
        return self._search.over() or self._search.remaining() < 4.0 * self._look_s

    def _doubled(self) -> tuple[HeldKarp, IntArray | None]:
        graph, tour = self._graph, self._search.tour
        costs, pairs = doubled_costs(graph.costs)
        penalties = assignment_penalties(graph.costs)
        if tour is not None:
            tour = np.stack([tour, tour + graph.num_nodes], axis=1).ravel()
        return HeldKarp(costs, pairs, penalties), tour

    def outdated(self) -> Callable[[], bool]:
        """Whether the arcs open now would be far fewer by the time this is asked."""
        cost, bound = self._search.cost, self._search.lower_bound

        def is_outdated() -> bool:
            better = self._search.cost
            if self._held_karp is None or bound is None or better is None:
                return False
            return cost is None or better - bound < _MUCH_BETTER * (cost - bound)

        return is_outdated

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
        while not give_up() and not finder.too_late:
            finder.next_slice(give_up)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tours") as executor:
        improving = executor.submit(improve)
        try:
            yield
        finally:
            done.set()
        improving.result()

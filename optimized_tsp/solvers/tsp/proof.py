"""A dense graph: a tour at once, then bounds, then CP-SAT on the arcs that may still matter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from optimized_tsp.solvers.tsp.cp_sat_engine import (
    is_worth_a_model,
    settle_arcs,
    settle_core,
    symmetric_core,
)
from optimized_tsp.solvers.tsp.graph import ArcGraph, DenseGraph
from optimized_tsp.solvers.tsp.held_karp_core import HeldKarpCore
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tour_finder import TourFinder, nearest_neighbour_tour

__all__ = ["settle_sparse", "solve_dense"]

_HARD_FOR_HEURISTIC = 200
"""Nodes from which on the heuristic's first tours are often not the best ones."""

_FIRST_SLICES = 2
_FIRST_SLICES_IF_HARD = 3


def solve_dense(search: Search, graph: DenseGraph, plan: Plan) -> None:
    """Search until the best tour is proven, all tours are ruled out, or the search is over."""
    search.note("engine", "cp_sat")
    finder = TourFinder(search, graph, plan.threads)
    if search.tour is None:
        search.offer_tour(nearest_neighbour_tour(graph.costs))
    hard = graph.num_nodes >= _HARD_FOR_HEURISTIC
    for slices in range(_FIRST_SLICES_IF_HARD if hard else _FIRST_SLICES):
        if not finder.too_late and not (finder.exact and slices > 0 and search.tour is not None):
            finder.next_slice()
    search.note("first_tour_cost", search.cost)
    bounds = HeldKarpCore(search, graph)
    while not finder.too_late:
        source, target = bounds.open_arcs()
        if not is_worth_a_model(search, len(source)):
            finder.next_slice()
            continue
        with _improving(search, finder, enabled=plan.threads > 1 and hard):
            if graph.symmetric and search.tour is not None:
                core = symmetric_core(search, source, target)
                settle_core(
                    search,
                    core,
                    seed=plan.seed,
                    hint=search.tour,
                    offer=search.offer_tour,
                    outdated=bounds.outdated(),
                )
            else:
                settle_arcs(search, source, target, seed=plan.seed, outdated=bounds.outdated())


def settle_sparse(search: Search, graph: ArcGraph, plan: Plan) -> None:
    """CP-SAT on all arcs of a graph too large for anything else, if it is not too large for it."""
    search.note("engine", "cp_sat")
    source, target = graph.arcs()
    if is_worth_a_model(search, len(source)):
        settle_arcs(search, source, target, seed=plan.seed)


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

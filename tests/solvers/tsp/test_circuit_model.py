"""CP-SAT on arcs: right, and gone when it is told to go."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.circuit_model import solve_circuit
from optimized_tsp.solvers.tsp.cp_sat import CpSatLimits, CpSatResult
from optimized_tsp.solvers.tsp.graph import DenseGraph
from optimized_tsp.solvers.tsp.search import Search
from tests.promises import promised
from tests.solvers.tsp.brute_force import optimal_cost
from tests.solvers.tsp.searching import search_on


def random_graph(count: int, density: float, seed: int) -> DenseGraph:
    random = np.random.default_rng(seed)
    costs = random.integers(1, 1_000, (count, count))
    costs[random.random((count, count)) > density] = NO_EDGE
    return DenseGraph(costs)


def solve(search: Search, arcs: tuple[IntArray, IntArray], bounds: list[int]) -> CpSatResult:
    return solve_circuit(search, *arcs, CpSatLimits(seed=3), bounds.append)


@pytest.mark.parametrize("seed", range(15))
def test_small_graphs_are_settled(seed: int) -> None:
    graph = random_graph(7, 0.5, seed)
    search, _ = search_on(graph)
    bounds: list[int] = []
    result = solve(search, graph.arcs(), bounds)
    costs = [[None if c == NO_EDGE else c for c in row] for row in graph.costs.tolist()]
    best = optimal_cost(costs)

    assert search.cost == best
    assert result.no_tour == (best is None)
    if best is not None:
        assert result.lower_bound == best
        assert all(bound <= best for bound in bounds)


def test_costs_next_to_two_to_the_53_are_exact() -> None:
    near = 2**53 // 5 - 1
    costs = np.array([[near - abs(3 * i - j) for j in range(5)] for i in range(5)])
    graph = DenseGraph(costs)
    search, _ = search_on(graph)
    result = solve(search, graph.arcs(), [])
    assert result.lower_bound == search.cost
    assert search.cost == optimal_cost(costs.tolist())


def test_the_best_tour_is_the_hint_and_is_never_lost() -> None:
    graph = random_graph(60, 1.0, 4)
    search, _ = search_on(graph, seconds=0.5)
    search.offer_tour(np.arange(60))
    before = search.cost
    solve(search, graph.arcs(), [])
    assert search.cost is not None
    assert before is not None
    assert search.cost <= before


@pytest.mark.parametrize("count", [200, 600])
def test_it_is_left_when_the_search_is_cancelled(count: int) -> None:
    """At any moment: while the model is built, in presolve, in the search."""
    graph = random_graph(count, 1.0, 5)
    arcs = graph.arcs()
    for delay in (0.0, 0.2, 1.0):
        search, heard = search_on(graph)
        search.offer_tour(np.arange(count))
        timer = threading.Timer(delay, heard.stop.set)
        timer.start()
        with promised(1.0, after_s=delay):
            solve(search, arcs, [])

        search.close()
        timer.join()


def test_it_stops_when_its_arcs_are_outdated() -> None:
    graph = random_graph(150, 1.0, 6)
    search, _ = search_on(graph)
    with promised(1.0):
        limits = CpSatLimits(seed=1, outdated=lambda: True)
        solve_circuit(search, *graph.arcs(), limits, lambda _: None)

    search.close()

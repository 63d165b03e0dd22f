"""CP-SAT on undirected edges, in rounds: right, with rows and forced edges, and gone when told."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.core import Core, Row
from optimized_tsp.solvers.tsp.core_model import solve_core
from optimized_tsp.solvers.tsp.cp_sat import CpSatLimits, CpSatResult
from optimized_tsp.solvers.tsp.cp_sat_engine import settle_core
from optimized_tsp.solvers.tsp.graph import DenseGraph
from optimized_tsp.solvers.tsp.search import Search
from tests.promises import promised
from tests.solvers.tsp.brute_force import optimal_cost
from tests.solvers.tsp.searching import search_on


def random_graph(count: int, density: float, seed: int) -> DenseGraph:
    """Symmetric, with edges of equal cost among them."""
    random = np.random.default_rng(seed)
    costs = random.integers(1, 60, (count, count))
    costs[random.random((count, count)) > density] = NO_EDGE
    upper = np.triu(costs, 1)
    return DenseGraph(upper + upper.T)


def lattice(count: int) -> DenseGraph:
    """Points of a grid: full of circles that are no tours."""
    x, y = np.divmod(np.arange(count), 8)
    return DenseGraph(np.abs(x[:, None] - x) + np.abs(y[:, None] - y))


def core_of(graph: DenseGraph) -> Core:
    tails, heads = np.nonzero(np.triu(graph.costs < NO_EDGE, 1))
    return Core(graph.num_nodes, tails, heads, graph.between(tails, heads))


def solve(search: Search, core: Core, bounds: list[int]) -> CpSatResult:
    return solve_core(
        search,
        core,
        search.tour,
        CpSatLimits(seed=3),
        offer=search.offer_tour,
        on_bound=bounds.append,
    )


def optimum(costs: IntArray) -> int | None:
    return optimal_cost([[None if c == NO_EDGE else c for c in row] for row in costs.tolist()])


@pytest.mark.parametrize("seed", range(15))
def test_small_graphs_are_settled(seed: int) -> None:
    graph = random_graph(8, 0.6, seed)
    search, _ = search_on(graph)
    bounds: list[int] = []
    result = solve(search, core_of(graph), bounds)
    best = optimum(graph.costs)

    assert search.cost == best
    assert result.no_tour == (best is None)
    if best is not None:
        assert result.lower_bound == best
        assert all(bound <= best for bound in bounds)


def test_circles_are_forbidden_in_rounds() -> None:
    graph = lattice(48)
    search, _ = search_on(graph)
    result = solve(search, core_of(graph), [])
    assert search.cost == result.lower_bound == 48
    assert search.statistics["cp_sat_rounds"] > 1


def test_rows_and_forced_edges_are_kept() -> None:
    graph = lattice(24)
    core = core_of(graph)
    search, _ = search_on(graph)
    chosen = int(np.flatnonzero((core.tails == 0) & (core.heads == 23))[0])
    result = solve(search, replace(core, forced=[chosen]), [])
    assert search.tour is not None
    assert bool(core.edges_of(search.tour)[chosen])
    assert result.lower_bound == search.cost

    dear = np.flatnonzero(core.costs > 3)
    row = Row(dear, np.ones_like(dear), 2)
    with_row, _ = search_on(graph)
    solve(with_row, replace(core, rows=[row]), [])
    assert with_row.tour is not None
    assert int(core.edges_of(with_row.tour)[dear].sum()) >= 2


def test_a_bound_of_a_core_is_one_of_the_problem_only_up_to_the_best_cost() -> None:
    """On a core of the best tour alone nothing is cheaper; that says nothing beyond its cost."""
    graph = lattice(24)
    search, _ = search_on(graph)
    search.offer_tour(np.arange(24))
    core = core_of(graph)
    tour = search.tour
    assert tour is not None
    used = core.edges_of(tour)
    thin = Core(24, core.tails[used], core.heads[used], 10 * core.costs[used])
    settle_core(search, thin, CpSatLimits(seed=1), hint=tour, offer=search.offer_tour)
    assert search.lower_bound == search.cost


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_it_is_left_when_the_search_is_cancelled(delay: float) -> None:
    random = np.random.default_rng(1)
    points = random.uniform(0, 1e5, (250, 2))
    costs = np.rint(np.hypot(*(points[:, None] - points).T)).astype(np.int64)
    graph = DenseGraph(costs)
    search, heard = search_on(graph)
    search.offer_tour(np.arange(250))
    timer = threading.Timer(delay, heard.stop.set)
    timer.start()
    with promised(1.0, after_s=delay):
        solve(search, core_of(graph), [])

    search.close()
    timer.join()

"""Local search keeps its promises: tours stay tours, gains are exact, and nothing gets worse."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.graph import DenseGraph, PointGraph, tour_cost
from optimized_tsp.solvers.tsp.tours.alpha import promising_neighbours
from optimized_tsp.solvers.tsp.tours.doubling import doubled_order, pairs_to_tour
from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule
from optimized_tsp.solvers.tsp.tours.flips import exchange, take_back
from optimized_tsp.solvers.tsp.tours.local_search import LocalSearch
from optimized_tsp.solvers.tsp.tours.neighbours import near_neighbours
from tests.solvers.tsp.brute_force import optimal_cost
from tests.solvers.tsp.tours.graphs import is_permutation, one_way, order_cost, points, sparse


def start_of(graph: DenseGraph | PointGraph, seed: int = 1) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(graph.num_nodes)
    return order.astype(np.int32) if graph.symmetric else doubled_order(order)


def local_search(graph: DenseGraph | PointGraph, seed: int = 1) -> LocalSearch:
    rule = cost_rule(graph)
    return LocalSearch(rule, near_neighbours(rule, 8), start_of(graph, seed), seed)


@pytest.mark.parametrize("graph", [points(500), one_way(90), sparse(120)], ids=str)
def test_gains_are_exact_and_tours_stay_tours(graph: DenseGraph | PointGraph) -> None:
    rule = cost_rule(graph)
    local = local_search(graph)
    cost = order_cost(rule, local.order)
    while not local.settled:
        gained = local.improve(7)
        assert gained >= 0
        cost -= gained
        assert order_cost(rule, local.order) == cost
    for _ in range(40):
        gained = local.kick(25)
        assert gained >= 0
        cost -= gained
        assert order_cost(rule, local.order) == cost
        assert is_permutation(local.order.astype(np.int64), rule.num_nodes)


@pytest.mark.parametrize("graph", [points(300), one_way(60)], ids=["points", "one way"])
def test_heat_never_costs_the_best_tour(graph: DenseGraph | PointGraph) -> None:
    rule = cost_rule(graph)
    local = local_search(graph)
    local.improve(10**6)
    cost = order_cost(rule, local.order)
    heat = 2.0 * cost / rule.num_nodes
    for slice_ in range(40):
        gained = local.kick(50, heat)
        assert gained >= 0
        cost -= gained
        assert order_cost(rule, local.order) == cost
        assert is_permutation(local.order.astype(np.int64), rule.num_nodes)
        if slice_ % 10 == 9:
            local.cool()
            assert local.kick(0) == 0
    assert local.kick(200) >= 0


def test_entries_and_exits_of_a_node_stay_together() -> None:
    graph = one_way(70)
    local = local_search(graph)
    local.improve(10_000)
    local.kick(500)
    order = local.order.tolist()
    joined = {frozenset(pair) for pair in pairwise([*order, order[0]])}
    assert all(frozenset((node, node + 70)) in joined for node in range(70))
    assert tour_cost(graph, pairs_to_tour(local.order)) == order_cost(cost_rule(graph), local.order)


@pytest.mark.parametrize("seed", range(6))
def test_small_instances_are_solved(seed: int) -> None:
    random = np.random.default_rng(seed)
    costs = random.integers(1, 100, (9, 9))
    for matrix in (costs, costs + costs.T):
        graph = DenseGraph(matrix)
        local = local_search(graph, seed)
        local.improve(1_000)
        local.kick(300)
        order = local.order.astype(np.int64)
        order = order if graph.symmetric else pairs_to_tour(order)
        assert tour_cost(graph, order) == optimal_cost(matrix.tolist())


def test_reversals_are_taken_back_in_full() -> None:
    random = np.random.default_rng(3)
    before = random.permutation(101).astype(np.int32)
    order, place = before.copy(), np.argsort(before).astype(np.int32)
    flips = np.zeros((4_000, 2), np.int32), np.zeros(1, np.int64)
    for _ in range(3_000):
        a, d = random.choice(101, 2, replace=False)
        b = order[(place[a] + 1) % 101]
        if d not in (a, b):
            exchange((order, place), flips, a, b, d)
            assert order[(place[a] + 1) % 101] == d or order[place[a] - 1] == d
    assert is_permutation(order.astype(np.int64), 101)
    assert (order[place] == np.arange(101)).all()
    take_back((order, place), flips)
    assert (order == before).all()


def test_neighbours_are_on_every_side_also_where_points_lie_in_rows() -> None:
    rows = [[100.0 * row, 1.0 * column] for row in range(20) for column in range(50)]
    rule = cost_rule(PointGraph(Distances(np.array(rows), "EUC_2D", 1.0)))
    nodes, costs = near_neighbours(rule, 8)
    assert (np.diff(costs, axis=1) >= 0).all()
    assert (nodes != np.arange(1_000)[:, None]).all()
    assert all(len(set(row)) == 8 for row in nodes.tolist())


def test_promising_neighbours_hold_better_edges_than_the_nearest() -> None:
    graph = points(800)
    rule = cost_rule(graph)
    near = near_neighbours(rule, 10)
    local = LocalSearch(rule, near, start_of(graph), 1)
    local.improve(10**6)
    local.kick(500)
    chosen = promising_neighbours(rule, near, np.arange(800, dtype=np.int32), 5, lambda: False)
    assert chosen is not None

    def found(lists: np.ndarray) -> int:
        order = local.order.tolist()
        return sum(b in lists[a] for a, b in pairwise([*order, order[0]]))

    assert found(chosen[0]) > found(near[0][:, :5])
    assert promising_neighbours(rule, near, local.order, 5, lambda: True) is None


def test_the_same_seed_makes_the_same_kicks_however_they_are_cut() -> None:
    graph = points(300)
    whole, pieces = local_search(graph), local_search(graph)
    for local in (whole, pieces):
        local.improve(10**6)
    whole.kick(60)
    for _ in range(20):
        pieces.kick(3)
    assert whole.order.tolist() == pieces.order.tolist()


def test_too_few_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="8 nodes or more"):
        local_search(points(7))

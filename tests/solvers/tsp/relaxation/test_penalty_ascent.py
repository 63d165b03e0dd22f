"""The Held-Karp bound from coordinates holds, and is that of a full matrix."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.graph import PointGraph, tour_cost
from optimized_tsp.solvers.tsp.held_karp import HeldKarp
from optimized_tsp.solvers.tsp.one_tree import minimum_one_tree
from optimized_tsp.solvers.tsp.relaxation.one_tree_kernels import (
    IN_TREE,
    grow_tree,
    sparse_one_tree,
)
from optimized_tsp.solvers.tsp.relaxation.penalty_ascent import PenaltyAscent
from optimized_tsp.solvers.tsp.schemas import Metric
from optimized_tsp.solvers.tsp.spatial_distances import SpatialDistances
from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule, edge_costs
from tests.solvers.tsp.brute_force import optimal_cost
from tests.solvers.tsp.tours.graphs import points


def never() -> bool:
    return False


def bounds_of(graph: PointGraph, order: IntArray) -> list[int]:
    cost, found = tour_cost(graph, order), list[int]()
    assert cost is not None
    PenaltyAscent(cost_rule(graph), order).run(lambda: cost, never, found.append)
    return found


def optimum(graph: PointGraph) -> int:
    best = optimal_cost(graph.distances.matrix().tolist())
    assert best is not None
    return best


@pytest.mark.parametrize("metric", get_args(Metric))
def test_no_bound_exceeds_the_optimum(metric: Metric) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        count, largest = int(rng.integers(5, 9)), rng.choice([2.0, 80.0])
        # Often several points in one place.
        spread = np.round(rng.uniform(-largest, largest, (count, 2)), int(rng.integers(0, 3)))
        graph = PointGraph(Distances(spread, metric, float(rng.choice([1.0, 1000.0]))))
        bounds = bounds_of(graph, np.arange(count))
        assert bounds == sorted(bounds)
        assert bounds[-1] <= optimum(graph)


def test_no_bound_exceeds_the_optimum_in_space() -> None:
    for seed in range(6):
        spread = np.random.default_rng(seed).uniform(0, 50, (7, 3))
        graph = PointGraph(SpatialDistances(spread, "EUC_3D"))
        assert bounds_of(graph, np.arange(7))[-1] <= optimum(graph)


def test_costs_near_the_limit_do_not_overflow() -> None:
    spread = np.random.default_rng(3).uniform(0, 1, (8, 2)) * 2**48
    graph = PointGraph(Distances(spread, "EUC_2D", 1.0))
    bounds = bounds_of(graph, np.arange(8))
    assert 0.5 * optimum(graph) < bounds[-1] <= optimum(graph)


def test_the_bound_is_as_good_as_that_of_a_full_matrix() -> None:
    graph = points(400)
    order = np.arange(400)
    dense = HeldKarp(graph.dense().costs)
    cost = tour_cost(graph, order)
    dense.ascend(cost, order, never, list[int]().append)
    assert dense.lower_bound is not None
    assert bounds_of(graph, order)[-1] > 0.998 * dense.lower_bound


@pytest.mark.parametrize("seed", range(20))
def test_the_tree_of_all_pairs_is_a_minimum_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(5, 60))
    graph = PointGraph(Distances(rng.integers(0, 30, (count, 2)).astype(float), "EUC_2D", 1.0))
    penalties = rng.integers(-2_000, 2_000, count)
    weights = 256 * graph.dense().costs + penalties[:, None] + penalties[None, :]
    expected = minimum_one_tree(weights)
    assert expected is not None

    rule = cost_rule(graph)
    nearest = np.full(count, np.iinfo(np.int64).max)
    nearest[:2] = IN_TREE
    parent, row = np.zeros(count, np.int64), np.zeros(count, np.int64)
    node = 1
    while node >= 0:
        node = grow_tree(rule.costs, 256, penalties, nearest, parent, row, node, 7)
    inner = weights[np.arange(2, count), parent[2:]].sum()
    assert inner + np.sort(weights[0, 1:])[:2].sum() == expected.weight

    tails, heads = np.triu_indices(count, 1)
    all_weights = (256 * edge_costs(rule.costs, tails, heads)).astype(np.float64)
    all_weights += penalties[tails] + penalties[heads]
    total, degree = sparse_one_tree(count, tails, heads, all_weights, np.argsort(all_weights))
    assert total == expected.weight
    assert degree.sum() == 2 * count


def test_it_stops_when_it_is_over() -> None:
    looks, found = 0, list[int]()

    def over() -> bool:
        nonlocal looks
        looks += 1
        return looks > 20

    PenaltyAscent(cost_rule(points(300)), np.arange(300)).run(lambda: 10**9, over, found.append)
    assert found == []
    assert looks <= 22

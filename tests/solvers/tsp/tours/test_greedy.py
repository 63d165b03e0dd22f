"""Greedy tours are tours, also where points lie on one another, and better than a curve."""

from __future__ import annotations

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.graph import PointGraph
from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule
from optimized_tsp.solvers.tsp.tours.greedy import greedy_order
from optimized_tsp.solvers.tsp.tours.neighbours import near_neighbours
from optimized_tsp.solvers.tsp.tours.space_filling import hilbert_tour
from tests.solvers.tsp.tours.graphs import is_permutation, one_way, order_cost, points


def greedy(graph: PointGraph) -> np.ndarray:
    rule = cost_rule(graph)
    order = greedy_order(rule, near_neighbours(rule, 10))
    assert order is not None
    return order


@pytest.mark.parametrize("count", [8, 50, 3_000])
def test_greedy_tours_visit_every_node_once(count: int) -> None:
    assert is_permutation(greedy(points(count)).astype(np.int64), count)


def test_greedy_tours_are_shorter_than_along_a_curve() -> None:
    graph = points(3_000)
    curve = hilbert_tour(graph.distances.points).astype(np.int32)
    rule = cost_rule(graph)
    assert order_cost(rule, greedy(graph)) < 0.95 * order_cost(rule, curve)


def test_far_clusters_and_points_in_one_place_are_joined() -> None:
    centres = np.array([[0.0, 0.0], [1e6, 0.0], [0.0, 1e6], [5e5, 5e5]])
    spread = np.random.default_rng(3).integers(0, 3, (800, 2))
    graph = PointGraph(Distances(centres[np.arange(800) % 4] + spread, "EUC_2D", 1.0))
    assert is_permutation(greedy(graph).astype(np.int64), 800)


def test_a_matrix_has_no_greedy_tour() -> None:
    rule = cost_rule(one_way(20))
    assert greedy_order(rule, near_neighbours(rule, 10)) is None

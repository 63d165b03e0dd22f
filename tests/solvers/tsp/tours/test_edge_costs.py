"""Costs in kernels are those of the definitions, to the last unit."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE
from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.graph import DenseGraph, PointGraph, tour_cost
from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.schemas import Metric
from optimized_tsp.solvers.tsp.spatial_distances import SpatialDistances
from optimized_tsp.solvers.tsp.spatial_metrics import (
    SPATIAL_METRICS,
    SpatialMetric,
    spatial_distance,
)
from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule, edge_costs
from tests.solvers.tsp.tours.graphs import order_cost

PAIRS = 4_000


def pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(9)
    source = random.integers(0, count, PAIRS)
    return source, (source + random.integers(1, count, PAIRS)) % count


@pytest.mark.parametrize("scale", [1.0, 0.37, 1_000.0])
@pytest.mark.parametrize("metric", get_args(Metric))
def test_metrics_of_the_plane_and_the_globe(metric: Metric, scale: float) -> None:
    random = np.random.default_rng(4)
    spread = random.uniform(-89, 89, (500, 2))
    grid = random.integers(-9, 9, (500, 2)).astype(float)  # equal distances, equal points
    for points in (spread, grid):
        graph = PointGraph(Distances(points, metric, scale))
        source, target = pairs(500)
        costs = edge_costs(cost_rule(graph).costs, source, target)

        assert (costs == graph.between(source, target)).all()
        rule = distance_rule(metric)
        p, q = points[source].tolist(), points[target].tolist()
        assert costs.tolist() == [rule(a, b, scale) for a, b in zip(p, q, strict=True)]


@pytest.mark.parametrize("metric", SPATIAL_METRICS)
def test_metrics_of_space(metric: SpatialMetric) -> None:
    points = np.random.default_rng(4).uniform(-180, 180, (500, 3))
    source, target = pairs(500)
    graph = PointGraph(SpatialDistances(points, metric))
    costs = edge_costs(cost_rule(graph).costs, source, target)

    p, q = points[source].tolist(), points[target].tolist()
    expected = [spatial_distance(metric, a, b) for a, b in zip(p, q, strict=True)]
    assert costs.tolist() == expected


def test_a_missing_edge_costs_more_than_any_tour() -> None:
    matrix = np.random.default_rng(2).integers(0, 2**44, (60, 60))
    matrix[3, 7] = matrix[7, 3] = NO_EDGE
    graph = DenseGraph(np.minimum(matrix, matrix.T))
    rule = cost_rule(graph)
    cheapest = np.arange(60, dtype=np.int32)
    assert order_cost(rule, cheapest) == tour_cost(graph, cheapest.astype(np.int64))
    present = graph.costs[graph.costs < NO_EDGE]
    (missing,) = edge_costs(rule.costs, np.array([3]), np.array([7]))
    assert missing > 60 * present.max()


def test_a_doubled_graph_has_arcs_from_exits_to_entries_only() -> None:
    matrix = np.random.default_rng(2).integers(1, 1_000, (9, 9))
    rule = cost_rule(DenseGraph(matrix))
    missing = rule.costs[3]
    for i in range(9):
        for j in range(9):
            if i != j:
                expected = [matrix[i, j], matrix[i, j], missing, missing]
                source, target = np.array([9 + i, j, i, 9 + i]), np.array([j, 9 + i, j, 9 + j])
                assert edge_costs(rule.costs, source, target).tolist() == expected
    assert edge_costs(rule.costs, np.array([2]), np.array([11])).tolist() == [0]
    assert (rule.mates[rule.mates] == np.arange(18)).all()

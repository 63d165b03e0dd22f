"""Graphs for the tests of tours, and what is known of their tours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.graph import DenseGraph, PointGraph
from optimized_tsp.solvers.tsp.tours.edge_costs import CostRule, edge_costs


def points(count: int, seed: int = 1) -> PointGraph:
    """Points spread at random over a square of a million a side."""
    spread = np.random.default_rng(seed).uniform(0, 1e6, (count, 2))
    return PointGraph(Distances(spread, "EUC_2D", 1.0))


def expected_length(count: int) -> float:
    """What the best tour of so many of those points is about as long as (Johnson, McGeoch)."""
    return float(0.7124 * np.sqrt(count * 1e12) * (1 + 0.33 / count))


def one_way(count: int, seed: int = 1) -> DenseGraph:
    """Random costs that differ by direction."""
    return DenseGraph(np.random.default_rng(seed).integers(1, 1_000, (count, count)))


def sparse(count: int, seed: int = 1) -> DenseGraph:
    """A hidden tour that costs 500 an edge among some six random edges a node."""
    random = np.random.default_rng(seed)
    costs = np.full((count, count), NO_EDGE)
    hidden = random.permutation(count)
    costs[hidden, np.roll(hidden, -1)] = 500
    extra = random.integers(0, count, (6 * count, 2))
    costs[extra[:, 0], extra[:, 1]] = random.integers(1, 1_000, 6 * count)
    return DenseGraph(np.minimum(costs, costs.T))


def is_permutation(order: IntArray, count: int) -> bool:
    return np.array_equal(np.sort(order), np.arange(count))


def order_cost(rule: CostRule, order: NDArray[np.int32]) -> int:
    """The cost of a closed tour, edge by edge as the kernels see them."""
    nodes = order.astype(np.int64)
    return int(edge_costs(rule.costs, nodes, np.roll(nodes, -1)).sum())

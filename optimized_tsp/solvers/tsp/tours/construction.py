"""First tours, in no time: along a curve where there are points, from node to node otherwise."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.graph import DenseGraph, Graph, PointGraph, tour_cost
from optimized_tsp.solvers.tsp.tours.space_filling import hilbert_tour

__all__ = ["any_order", "best_of_all", "nearest_neighbour_tour"]


def any_order(graph: PointGraph | DenseGraph) -> IntArray:
    """Some order of the nodes to start from, better than a random one; edges may be missing."""
    if isinstance(graph, PointGraph):
        return hilbert_tour(graph.distances.points)
    return nearest_neighbour_tour(graph.costs)


def best_of_all(graph: Graph) -> IntArray | None:
    """The cheapest of all tours of up to seven nodes, None where there is none."""
    orders = (np.array([0, *rest]) for rest in permutations(range(1, graph.num_nodes)))
    priced = ((tour_cost(graph, order), order) for order in orders)
    known = [(cost, order) for cost, order in priced if cost is not None]
    return min(known, key=lambda tour: tour[0])[1] if known else None


def nearest_neighbour_tour(costs: IntArray) -> IntArray:
    """Always on to the nearest node not yet visited, by missing edges where nothing is left."""
    unvisited = np.zeros(len(costs), dtype=np.int64)
    order = np.zeros(len(costs), dtype=np.int64)
    for step in range(1, len(costs)):
        # More than a missing edge, so that a visited node is never the nearest.
        unvisited[order[step - 1]] = 2 * NO_EDGE - 1
        order[step] = int(np.maximum(costs[order[step - 1]], unvisited).argmin())
    return order

"""An instance as the algorithms see it: exact integer costs between nodes.

A point graph computes costs from coordinates when asked for. A dense graph holds a full matrix.
Given edges between many nodes are an arc graph first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray, edge_columns, matrix_row
from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.schemas import Metric, TspInstance
from optimized_tsp.solvers.tsp.spatial_distances import SpatialDistances
from optimized_tsp.solvers.tsp.spatial_metrics import SPATIAL_METRICS

if TYPE_CHECKING:
    from optimized_tsp.solvers.tsp.tsplib import TsplibProblem

__all__ = [
    "ArcGraph",
    "DENSE_LIMIT",
    "DenseGraph",
    "Graph",
    "PointGraph",
    "build_graph",
    "tour_cost",
]

DENSE_LIMIT = 5_000
"""Nodes up to which coordinates and edges are made a full matrix (200 MB)."""

_SMALL = 1_500
"""Nodes up to which a full matrix of edges costs next to nothing (18 MB)."""


class DenseGraph:
    """Costs as a matrix (n, n) with `NO_EDGE` where there is none and on the diagonal.

    Whether it is `symmetric` and `complete` is looked up where it is not known.
    """

    def __init__(
        self, costs: IntArray, *, symmetric: bool | None = None, complete: bool | None = None
    ) -> None:
        np.fill_diagonal(costs, NO_EDGE)
        self.costs = costs
        self.num_nodes = len(costs)
        self.symmetric = np.array_equal(costs, costs.T) if symmetric is None else symmetric
        if complete is None:
            complete = int(np.count_nonzero(costs == NO_EDGE)) == self.num_nodes
        self.complete = complete

    def arcs(self) -> tuple[IntArray, IntArray]:
        """Sources and targets of all arcs."""
        source, target = np.nonzero(self.costs != NO_EDGE)
        return source, target

    def between(self, source: IntArray, target: IntArray) -> IntArray:
        """Costs from `source` to `target`, `NO_EDGE` where there is none."""
        costs: IntArray = self.costs[source, target]
        return costs


class PointGraph:
    """Costs between points in the plane, in space or on the globe: complete and symmetric."""

    symmetric = True
    complete = True

    def __init__(self, distances: Distances | SpatialDistances) -> None:
        self.distances = distances
        self.num_nodes = len(distances.points)

    def between(self, source: IntArray, target: IntArray) -> IntArray:
        return self.distances.between(source, target)

    def dense(self) -> DenseGraph:
        """The same graph with a full matrix."""
        return DenseGraph(self.distances.matrix(), symmetric=True, complete=True)


class ArcGraph:
    """The cheapest arc of every pair that has one, sorted by source and target."""

    symmetric = False
    complete = False

    def __init__(self, num_nodes: int, source: IntArray, target: IntArray, cost: IntArray) -> None:
        keys = source * num_nodes + target
        order = np.lexsort((cost, keys))
        keys, first = np.unique(keys[order], return_index=True)
        self.num_nodes = num_nodes
        self.costs = cost[order][first]
        self.num_arcs = len(keys)
        self._keys = keys

    def arcs(self) -> tuple[IntArray, IntArray]:
        source, target = np.divmod(self._keys, self.num_nodes)
        return source, target

    def between(self, source: IntArray, target: IntArray) -> IntArray:
        wanted = source * self.num_nodes + target
        if not self.num_arcs:
            return np.full(wanted.shape, NO_EDGE)
        place = np.minimum(np.searchsorted(self._keys, wanted), self.num_arcs - 1)
        return np.where(self._keys[place] == wanted, self.costs[place], NO_EDGE)

    def dense(self) -> DenseGraph:
        """The same graph with a full matrix."""
        costs = np.full((self.num_nodes, self.num_nodes), NO_EDGE)
        costs[self.arcs()] = self.costs
        return DenseGraph(costs)


Graph: TypeAlias = DenseGraph | PointGraph | ArcGraph


def build_graph(instance: TspInstance) -> Graph:
    """The graph of a valid instance; of several edges between two nodes the cheapest counts."""
    num_nodes = instance.node_count
    if instance.coordinates is not None and instance.metric is not None:
        points = np.array(instance.coordinates, dtype=np.float64)
        return PointGraph(Distances(points, instance.metric, instance.scale))
    if instance.matrix is not None:
        return DenseGraph(np.stack([matrix_row(row) for row in instance.matrix]))
    if instance.tsplib is not None:
        return _graph_of_file(instance.tsplib_problem)
    return _graph_of_arcs(num_nodes, *edge_columns(instance.edges or []))


def _graph_of_arcs(num_nodes: int, source: IntArray, target: IntArray, cost: IntArray) -> Graph:
    if num_nodes > _SMALL:
        return ArcGraph(num_nodes, source, target, cost)
    costs = np.full((num_nodes, num_nodes), NO_EDGE)
    np.minimum.at(costs, (source, target), cost)
    return DenseGraph(costs)


def _graph_of_file(problem: TsplibProblem) -> Graph:
    """Without regard to fixed edges."""
    if problem.matrix is not None:
        return DenseGraph(problem.matrix.copy())
    if problem.arcs is not None:
        return _graph_of_arcs(problem.num_nodes, *problem.arcs, np.zeros_like(problem.arcs[0]))
    if problem.points is None or problem.metric is None:
        raise ValueError("a problem has a matrix, arcs, or points and a metric")
    if problem.metric in SPATIAL_METRICS:
        return PointGraph(SpatialDistances(problem.points, problem.metric))
    return PointGraph(Distances(problem.points, cast("Metric", problem.metric), 1.0))


def tour_cost(graph: Graph, order: IntArray) -> int | None:
    """Exact cost of the closed tour, None when one of its edges does not exist."""
    if graph.num_nodes == 1:
        return 0
    costs = graph.between(order, np.roll(order, -1))
    return None if (costs == NO_EDGE).any() else int(costs.sum())

"""Which parts work on an instance, by its form and size."""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT, ArcGraph, DenseGraph, PointGraph
from optimized_tsp.solvers.tsp.infeasibility import find_certificate
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.point_stage import solve_points
from optimized_tsp.solvers.tsp.proof import settle_sparse, solve_dense
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tours.space_filling import hilbert_tour

__all__ = ["run"]

_TRIVIAL_NODES = 3
_SECONDS_PER_PAIR = 4e-7


def run(search: Search, plan: Plan) -> None:
    """Search until the best tour is proven, tours are ruled out, or the search is over."""
    graph = search.graph
    if isinstance(graph, PointGraph):
        search.offer_tour(hilbert_tour(graph.distances.points))
    elif not graph.complete:
        certificate = find_certificate(graph.num_nodes, *graph.arcs())
        if certificate is not None:
            search.take_certificate(certificate, "certificate")
    if search.over():
        return
    if graph.num_nodes <= _TRIVIAL_NODES:
        _enumerate(search, graph.num_nodes)
    elif isinstance(graph, DenseGraph):
        solve_dense(search, graph, plan)
    elif _may_be_dense(graph, search):
        solve_dense(search, graph.dense(), plan)
    elif isinstance(graph, PointGraph):
        solve_points(search, graph, plan)
    else:
        settle_sparse(search, graph, plan)


def _may_be_dense(graph: PointGraph | ArcGraph, search: Search) -> bool:
    """Few enough nodes for a matrix, and time enough to make use of it."""
    enough_s = _SECONDS_PER_PAIR * graph.num_nodes**2
    return graph.num_nodes <= DENSE_LIMIT and search.remaining() > enough_s


def _enumerate(search: Search, num_nodes: int) -> None:
    for order in ([0], [0, 1], [0, 1, 2], [0, 2, 1]):
        if len(order) == num_nodes:
            search.offer_tour(np.array(order))
    if search.cost is None:
        search.rule_out_tours("enumeration")
    else:
        search.raise_bound(search.cost, "enumeration")

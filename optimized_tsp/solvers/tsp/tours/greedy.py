"""Greedy tours: always the cheapest edge that leaves paths, then paths joined end to end.

Better to start a Lin-Kernighan search from than a curve through the points or the nearest neighbour
(J. L. Bentley, "Fast algorithms for geometric traveling salesman problems", 1992).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.tours.edge_costs import CostRule, edge_costs
from optimized_tsp.solvers.tsp.tours.neighbours import Neighbours

__all__ = ["greedy_order"]

IntArray32: TypeAlias = NDArray[np.int32]

_ENDS_LOOKED_AT = 8


def greedy_order(rule: CostRule, neighbours: Neighbours) -> IntArray32 | None:
    """A tour of points as an order; None where nodes have no locations to join paths by."""
    if rule.locations is None:
        return None
    n = rule.num_nodes
    links = np.full((n, 2), -1, np.int32)
    nodes, costs = neighbours
    source = np.repeat(np.arange(n), nodes.shape[1])
    target, costs = nodes.ravel().astype(np.int64), costs.ravel()
    path = np.arange(n).astype(np.int32)
    while True:
        paths = _join(links, path, source, target, np.argsort(costs, kind="stable"))
        if paths == 1:
            return _walked(links)
        ends = np.flatnonzero(links[:, 1] < 0)
        source, target = _between_ends(rule.locations, path, ends)
        costs = edge_costs(rule.costs, source, target)


def _between_ends(
    locations: NDArray[np.float64], path: IntArray32, ends: IntArray
) -> tuple[IntArray, IntArray]:
    """Pairs of ends of different paths that are near each other; there are some for every path."""
    looked_at = min(_ENDS_LOOKED_AT, len(ends))
    found = cKDTree(locations[ends]).query(locations[ends], k=looked_at)[1]
    source, target = np.repeat(ends, looked_at), ends[found.ravel()]
    paths = _roots(path)
    apart = paths[source] != paths[target]
    return source[apart], target[apart]


def _roots(path: IntArray32) -> IntArray32:
    """For every node the one that stands for its path."""
    above = path[path]
    while not np.array_equal(above, path):
        path, above = above, above[above]
    return path


@kernel("int64(int32[::1], int64)", bare=True, inline=True)
def _root(path: IntArray32, node: int) -> int:
    while path[node] != node:
        path[node] = path[path[node]]
        node = path[node]
    return node


@kernel("int64(int32[:,::1], int32[::1], int64[::1], int64[::1], int64[::1])", bare=True)
def _join(
    links: IntArray32, path: IntArray32, source: IntArray, target: IntArray, by_cost: IntArray
) -> int:
    """Take every edge, in this order, that leaves paths; return how many paths there are then.

    `links` (n, 2) has the neighbours of each node on its path, -1 where there is none.
    """
    for edge in by_cost:
        a, b = source[edge], target[edge]
        if links[a, 1] >= 0 or links[b, 1] >= 0:
            continue
        above_a, above_b = _root(path, a), _root(path, b)
        if above_a != above_b:
            path[above_a] = above_b
            links[a, 1 if links[a, 0] >= 0 else 0] = b
            links[b, 1 if links[b, 0] >= 0 else 0] = a
    ends = 0
    for node in range(len(links)):
        ends += (links[node, 0] < 0) + (links[node, 1] < 0)
    return ends // 2


@kernel("int32[::1](int32[:,::1])")
def _walked(links: IntArray32) -> IntArray32:
    """The nodes of the one path in the order in which it has them."""
    order = np.empty(len(links), np.int32)
    node, last = 0, -1
    while links[node, 1] >= 0:
        node += 1
    for at in range(len(order)):
        order[at] = node
        following = links[node, 1] if links[node, 0] == last else links[node, 0]
        last, node = node, int(following)
    return order

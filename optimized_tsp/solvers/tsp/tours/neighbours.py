"""Neighbour lists: the few nodes that are worth joining to each, without a full matrix of costs."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.tours.edge_costs import DOUBLED, CostRule, edge_costs

__all__ = ["Neighbours", "near_neighbours", "priced"]

Neighbours: TypeAlias = tuple[NDArray[np.int32], IntArray]
"""Nodes (n, k), cheapest first, and the costs of joining them (n, k)."""

_LOOKED_AT = 4
"""So many times the points asked for are looked at, to find some on every side."""


def near_neighbours(rule: CostRule, most: int) -> Neighbours:
    """Up to `most` nodes that are cheap to join to each node."""
    most = min(most, rule.num_nodes - 1)
    if rule.locations is not None:
        near = _near_points(rule.locations, min(_LOOKED_AT * most, rule.num_nodes - 1))
        found = _all_around(np.ascontiguousarray(rule.locations), near, most, most // 4)
    else:
        found = _near_in_matrix(rule, min(most, _partners(rule)))
    return priced(rule, found)


def priced(rule: CostRule, nodes: NDArray[np.int32]) -> Neighbours:
    """Lists of nodes (n, k) in the order of what joining them costs."""
    source = np.repeat(np.arange(len(nodes)), nodes.shape[1])
    costs = edge_costs(rule.costs, source, nodes.ravel().astype(np.int64)).reshape(nodes.shape)
    order = np.argsort(costs, axis=1, kind="stable")
    return np.take_along_axis(nodes, order, axis=1), np.take_along_axis(costs, order, axis=1)


def _partners(rule: CostRule) -> int:
    """How many nodes one can be joined to: of a doubled graph's, those of the other kind."""
    return rule.num_nodes // 2 - 1 if rule.costs[0] == DOUBLED else rule.num_nodes - 1


def _near_points(locations: NDArray[np.float64], most: int) -> NDArray[np.int32]:
    """The nearest points; of many in one place any."""
    nodes = np.arange(len(locations))[:, None]
    found = cKDTree(locations).query(locations, k=most + 1)[1].astype(np.int32)
    # Where the node itself is not among them, the farthest one goes.
    itself = found == nodes
    itself[~itself.any(axis=1), -1] = True
    others: NDArray[np.int32] = found[~itself].reshape(len(locations), most)
    return others


@kernel("int32[:,::1](float64[:,::1], int32[:,::1], int64, int64)")
def _all_around(
    locations: NDArray[np.float64], near: NDArray[np.int32], most: int, each: int
) -> NDArray[np.int32]:
    """Up to `each` of the nearest points in every quadrant or octant, the nearest for the rest.

    Where points lie in rows or clusters the nearest ones alone are all on one side.
    (D. S. Johnson and L. A. McGeoch, "Experimental analysis of heuristics for the STSP", 2002.)
    """
    n, looked_at = near.shape
    chosen = np.empty((n, min(most, looked_at)), np.int32)
    taken = np.empty(looked_at, np.bool_)
    seen = np.empty(8, np.int64)
    for node in range(n):
        taken[:] = False
        seen[:] = 0
        count = 0
        for k in range(looked_at):
            side = 0
            for axis in range(locations.shape[1]):
                side = 2 * side + (locations[near[node, k], axis] > locations[node, axis])
            if seen[side] < each and count < chosen.shape[1]:
                seen[side] += 1
                taken[k] = True
                chosen[node, count] = near[node, k]
                count += 1
        for k in range(looked_at):
            if count < chosen.shape[1] and not taken[k]:
                chosen[node, count] = near[node, k]
                count += 1
    return chosen


def _near_in_matrix(rule: CostRule, most: int) -> NDArray[np.int32]:
    kind, matrix, _, _ = rule.costs
    n = len(matrix)
    found = np.empty((rule.num_nodes, most), dtype=np.int32)
    for node in range(n):
        if kind == DOUBLED:
            found[node] = n + _cheapest(matrix[:, node], node, most)
            found[n + node] = _cheapest(matrix[node], node, most)
        else:
            found[node] = _cheapest(matrix[node], node, most)
    return found


def _cheapest(costs: IntArray, node: int, most: int) -> IntArray:
    """The cheapest partners of a node; missing edges come last."""
    costs = costs.copy()
    costs[node] = 2 * NO_EDGE
    if most < len(costs):
        return np.argpartition(costs, most)[:most]
    return np.delete(np.arange(len(costs)), node)

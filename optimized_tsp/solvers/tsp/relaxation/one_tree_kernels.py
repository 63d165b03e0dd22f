"""Kernels for minimum 1-trees of points: among listed edges at once, among all pairs step by step.

A 1-tree is a spanning tree of nodes 1..n-1 and two edges at node 0; every tour is one.
"""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray
from optimized_tsp.solvers.tsp.tours.edge_costs import COSTS, Costs, edge_cost, plane_costs

__all__ = ["IN_TREE", "grow_tree", "sparse_one_tree"]

IN_TREE = -(2**62)
"""The way to a node that the tree has; below any other."""


@kernel("Tuple((float64, int64[::1]))(int64, int64[::1], int64[::1], float64[::1], int64[::1])")
def sparse_one_tree(
    num_nodes: int, tails: IntArray, heads: IntArray, weights: FloatArray, order: IntArray
) -> tuple[float, IntArray]:
    """Weight and degrees of the minimum 1-tree of some edges, sorted by weight in `order`.

    The edges connect all nodes but 0, and node 0 has two of them (Kruskal).
    """
    parent = np.arange(num_nodes)
    degree = np.zeros(num_nodes, np.int64)
    total = 0.0
    left = num_nodes
    for edge in order:
        a = tails[edge]
        b = heads[edge]
        if min(a, b) == 0:
            if degree[0] == 2:
                continue
        else:
            while parent[a] != a:
                parent[a] = parent[parent[a]]
                a = parent[a]
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            if a == b:
                continue
            parent[a] = b
        degree[tails[edge]] += 1
        degree[heads[edge]] += 1
        total += weights[edge]
        left -= 1
        if left == 0:
            break
    return total, degree


@kernel(f"int64({COSTS}, int64, int64[::1], int64[::1], int64[::1], int64[::1], int64, int64)")
def grow_tree(
    costs: Costs,
    unit: int,
    penalties: IntArray,
    nearest: IntArray,
    parent: IntArray,
    row: IntArray,
    node: int,
    steps: int,
) -> int:
    """Some steps of Prim's algorithm on all nodes but 0, from `node`, which joined last.

    An edge weighs `unit` times its cost and the penalties of both ends. `nearest` is the least
    weight from the tree to every node, `IN_TREE` for its own and for node 0; `parent` is the other
    end. `row` is space to work in. Returns the node that joined last, -1 when all have.
    """
    rule, matrix, points, missing = costs
    for _ in range(steps):
        if not plane_costs(costs, node, row):
            for j in range(len(row)):
                if nearest[j] != IN_TREE:
                    row[j] = edge_cost(rule, matrix, points, missing, node, j)
        best = np.iinfo(np.int64).max
        following = -1
        own = penalties[node]
        for j in range(len(row)):
            before = nearest[j]
            if before == IN_TREE:
                continue
            weight = unit * row[j] + penalties[j] + own
            if weight < before:
                nearest[j] = before = weight
                parent[j] = node
            if before < best:
                best = before
                following = j
        if following < 0:
            return -1
        node = following
        nearest[node] = IN_TREE
    return node

"""Neighbours by how nearly their edges belong to a minimum spanning tree: better than by length.

Penalties on nodes are raised and lowered until the minimum spanning tree is nearly a tour; then
alpha, what a tree costs more that must use an edge, says how promising it is. Both are computed
within neighbour lists and a tour, which keeps them connected, not between all nodes.
(M. Held and R. Karp, "The traveling-salesman problem and minimum spanning trees", 1971; K.
Helsgaun, "An effective implementation of the Lin-Kernighan traveling salesman heuristic", 2000.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.tours.edge_costs import CostRule, edge_costs
from optimized_tsp.solvers.tsp.tours.neighbours import Neighbours, priced

__all__ = ["promising_neighbours"]

FloatArray: TypeAlias = NDArray[np.float64]
IntArray32: TypeAlias = NDArray[np.int32]

_ROUNDS = 60
_FIRST_STEP = 0.1
_MOMENTUM = 0.7


def promising_neighbours(
    rule: CostRule,
    neighbours: Neighbours,
    order: IntArray32,
    most: int,
    give_up: Callable[[], bool],
) -> Neighbours | None:
    """The `most` neighbours of each node with the smallest alpha; None when given up."""
    n = rule.num_nodes
    source, target = _edges(neighbours[0], order)
    costs = edge_costs(rule.costs, source, target).astype(np.float64)
    penalties = np.zeros(n)
    step, last = _FIRST_STEP * float(np.median(costs)), np.zeros(n)
    for round_ in range(_ROUNDS):
        if give_up():
            return None
        sorted_by = np.argsort(costs + penalties[source] + penalties[target])
        degree, _, _, _ = _tree(n, source, target, sorted_by)
        direction = (degree - 2).astype(np.float64)
        penalties += step * (_MOMENTUM * direction + (1.0 - _MOMENTUM) * last)
        last = direction
        step *= 0.1 ** (1.0 / _ROUNDS) if round_ else 1.0
    weights = costs + penalties[source] + penalties[target]
    _, parent, rank, heaviest = _tree(n, source, target, np.argsort(weights))
    alpha = weights - weights[_dearest_on_path(source, target, parent, rank, heaviest)]
    return priced(rule, _smallest(n, source, target, alpha, most))


def _edges(nodes: IntArray32, order: IntArray32) -> tuple[IntArray, IntArray]:
    """Each edge once: those to neighbours and those of the tour."""
    n, k = nodes.shape
    source = np.concatenate([np.repeat(np.arange(n), k), order.astype(np.int64)])
    target = np.concatenate([nodes.ravel(), np.roll(order, -1)]).astype(np.int64)
    keys = np.unique(np.minimum(source, target) * n + np.maximum(source, target))
    return np.divmod(keys, n)


@kernel("int64(int32[::1], int64)")
def _root(parent: IntArray32, node: int) -> int:
    while parent[node] != node:
        node = parent[node]
    return node


@kernel(
    "Tuple((int64[::1], int32[::1], int64[::1], int64[::1]))"
    "(int64, int64[::1], int64[::1], int64[::1])"
)
def _tree(
    n: int, source: IntArray, target: IntArray, sorted_by: IntArray
) -> tuple[IntArray, IntArray32, IntArray, IntArray]:
    """Kruskal's tree: degrees, and the forest by size in which it joined parts.

    A node of that forest joined its parent as the `rank`-th edge, which was edge `joined`. Paths
    are not shortened, so that they tell the dearest edge between two nodes.
    """
    degree = np.zeros(n, np.int64)
    parent = np.arange(n).astype(np.int32)
    size = np.ones(n, np.int64)
    rank = np.full(n, len(sorted_by), np.int64)
    joined = np.zeros(n, np.int64)
    parts = n
    for at in range(len(sorted_by)):
        edge = sorted_by[at]
        a, b = _root(parent, source[edge]), _root(parent, target[edge])
        if a == b:
            continue
        if size[a] > size[b]:
            a, b = b, a
        parent[a], rank[a], joined[a] = b, at, edge
        size[b] += size[a]
        degree[source[edge]] += 1
        degree[target[edge]] += 1
        parts -= 1
        if parts == 1:
            break
    return degree, parent, rank, joined


@kernel("int64[::1](int64[::1], int64[::1], int32[::1], int64[::1], int64[::1])")
def _dearest_on_path(
    source: IntArray, target: IntArray, parent: IntArray32, rank: IntArray, joined: IntArray
) -> IntArray:
    """For every edge the dearest one on the way between its ends in the tree."""
    dearest = np.empty(len(source), np.int64)
    for edge in range(len(source)):
        a, b = source[edge], target[edge]
        while a != b:
            if rank[a] > rank[b]:
                a, b = b, a
            dearest[edge] = joined[a]
            a = parent[a]
    return dearest


@kernel("int32[:,::1](int64, int64[::1], int64[::1], float64[::1], int64)")
def _smallest(
    n: int, source: IntArray, target: IntArray, alpha: FloatArray, most: int
) -> IntArray32:
    """Of the edges at each node the ends of those with the smallest alpha; all nodes have enough.

    Where they do not, the last one is repeated.
    """
    chosen = np.full((n, most), -1, np.int32)
    values = np.full((n, most), np.inf)
    for edge in range(len(source)):
        for node, other in ((source[edge], target[edge]), (target[edge], source[edge])):
            at = most
            while at > 0 and values[node, at - 1] > alpha[edge]:
                at -= 1
                if at + 1 < most:
                    values[node, at + 1] = values[node, at]
                    chosen[node, at + 1] = chosen[node, at]
            if at < most:
                values[node, at] = alpha[edge]
                chosen[node, at] = other
    for node in range(n):
        for k in range(1, most):
            if chosen[node, k] < 0:
                chosen[node, k] = chosen[node, k - 1]
    return chosen

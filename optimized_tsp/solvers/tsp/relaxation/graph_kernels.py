"""Kernels on weighted graphs given as edge lists: components, adjacency, contraction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel

__all__ = ["FloatArray", "adjacency", "components", "contract", "shrink"]

FloatArray = NDArray[np.float64]

_ONE = 1.0 - 1e-6


@kernel("Tuple((int64, int64[::1]))(int64, int64[::1], int64[::1])")
def components(num_nodes: int, tails: IntArray, heads: IntArray) -> tuple[int, IntArray]:
    """Number of connected components, and the component of every node (numbered from 0)."""
    parent = np.arange(num_nodes)
    for edge in range(len(tails)):
        a = tails[edge]
        b = heads[edge]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a != b:
            parent[a] = b
    name = np.full(num_nodes, -1, np.int64)
    labels = np.empty(num_nodes, np.int64)
    count = 0
    for node in range(num_nodes):
        root = node
        while parent[root] != root:
            root = parent[root]
        if name[root] < 0:
            name[root] = count
            count += 1
        labels[node] = name[root]
    return count, labels


@kernel(
    "Tuple((int64[::1], int64[::1], float64[::1]))(int64, int64[::1], int64[::1], float64[::1])"
)
def adjacency(
    num_nodes: int, tails: IntArray, heads: IntArray, values: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Neighbours of node i and the values of the edges to them, at `starts[i]:starts[i + 1]`."""
    starts = np.zeros(num_nodes + 1, np.int64)
    for edge in range(len(tails)):
        starts[tails[edge] + 1] += 1
        starts[heads[edge] + 1] += 1
    for node in range(num_nodes):
        starts[node + 1] += starts[node]
    fill = starts[:-1].copy()
    neighbours = np.empty(2 * len(tails), np.int64)
    weights = np.empty(2 * len(tails))
    for edge in range(len(tails)):
        a = tails[edge]
        b = heads[edge]
        neighbours[fill[a]] = b
        weights[fill[a]] = values[edge]
        fill[a] += 1
        neighbours[fill[b]] = a
        weights[fill[b]] = values[edge]
        fill[b] += 1
    return starts, neighbours, weights


@kernel(
    "Tuple((int64[::1], int64[::1], float64[::1]))"
    "(int64[::1], int64[::1], float64[::1], int64[::1], int64)"
)
def contract(
    tails: IntArray, heads: IntArray, values: FloatArray, labels: IntArray, count: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Edges between the classes of `labels` (0..count-1), parallel ones added up."""
    keys = np.empty(len(tails), np.int64)
    kept = np.empty(len(tails))
    size = 0
    for edge in range(len(tails)):
        a = labels[tails[edge]]
        b = labels[heads[edge]]
        if a != b:
            keys[size] = min(a, b) * count + max(a, b)
            kept[size] = values[edge]
            size += 1
    order = np.argsort(keys[:size])
    low = np.empty(size, np.int64)
    high = np.empty(size, np.int64)
    weights = np.empty(size)
    last = -1
    for place in order:
        a = keys[place] // count
        b = keys[place] % count
        if last >= 0 and low[last] == a and high[last] == b:
            weights[last] += kept[place]
        else:
            last += 1
            low[last] = a
            high[last] = b
            weights[last] = kept[place]
    return low[: last + 1].copy(), high[: last + 1].copy(), weights[: last + 1].copy()


@kernel("void(int64[::1], int64[::1], float64[::1], int64[::1])")
def _merge_paths(
    starts: IntArray, neighbours: IntArray, weights: FloatArray, parent: IntArray
) -> None:
    """Make every path of edges at one a pair: its first node, and all the others."""
    num_nodes = len(parent)
    seen = np.zeros(num_nodes, np.bool_)
    for end in range(num_nodes):
        ones = 0
        for place in range(starts[end], starts[end + 1]):
            if weights[place] > _ONE:
                ones += 1
        if ones != 1 or seen[end]:
            continue
        before = -1
        node = end
        second = -1
        for _ in range(num_nodes):
            following = -1
            for place in range(starts[node], starts[node + 1]):
                if weights[place] > _ONE and neighbours[place] != before:
                    following = neighbours[place]
            if following < 0:
                break
            if second < 0:
                second = following
            parent[following] = second
            before = node
            node = following
        seen[node] = True


@kernel("Tuple((int64, int64[::1]))(int64, int64[::1], int64[::1], float64[::1], float64, int64)")
def shrink(
    num_nodes: int,
    tails: IntArray,
    heads: IntArray,
    values: FloatArray,
    probability: float,
    seed: int,
) -> tuple[int, IntArray]:
    """A random contraction: paths of edges at one become pairs, then tight pairs become nodes.

    A pair of classes with value one between them is tight: it is contracted with `probability`,
    in a few sweeps. Returns the number of classes and the class of every node.
    """
    np.random.seed(seed)
    starts, neighbours, weights = adjacency(num_nodes, tails, heads, values)
    parent = np.arange(num_nodes)
    _merge_paths(starts, neighbours, weights, parent)
    name = np.full(num_nodes, -1, np.int64)
    labels = np.empty(num_nodes, np.int64)
    count = 0
    for node in range(num_nodes):
        root = parent[node]
        if name[root] < 0:
            name[root] = count
            count += 1
        labels[node] = name[root]
    for _ in range(6):
        if probability <= 0.0 or count < 8:
            break
        low, high, between = contract(tails, heads, values, labels, count)
        into = np.arange(count)
        used = np.zeros(count, np.bool_)
        merged = 0
        for edge in range(len(low)):
            a = low[edge]
            b = high[edge]
            free = between[edge] > _ONE and not used[a] and not used[b]
            if free and np.random.random() < probability:
                used[a] = True
                used[b] = True
                into[b] = a
                merged += 1
        if merged == 0:
            break
        renamed = np.full(count, -1, np.int64)
        smaller = 0
        for old in range(count):
            if into[old] == old:
                renamed[old] = smaller
                smaller += 1
        for node in range(num_nodes):
            labels[node] = renamed[into[labels[node]]]
        count = smaller
    return count, labels

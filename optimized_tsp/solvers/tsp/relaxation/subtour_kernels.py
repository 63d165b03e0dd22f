"""Kernels that find sets of nodes which a fractional solution enters less than twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import (
    FloatArray,
    adjacency,
    components,
    contract,
)

__all__ = ["light_cuts", "light_segments"]


@kernel("int64[:, ::1](int64, int64[::1], int64[::1], int64[::1], float64[::1], float64)")
def light_segments(
    num_nodes: int,
    positions: IntArray,
    tails: IntArray,
    heads: IntArray,
    values: FloatArray,
    limit: float,
) -> IntArray:
    """For every first position the segment of the tour with the smallest cut, if below `limit`.

    Rows are (first, last) positions, both included; segments have between 2 and n - 2 nodes.
    """
    low = np.minimum(positions[tails], positions[heads])
    high = np.maximum(positions[tails], positions[heads])
    by_low = np.argsort(low)
    low_starts = np.searchsorted(low[by_low], np.arange(num_nodes + 1))
    by_high = np.argsort(high)
    high_starts = np.searchsorted(high[by_high], np.arange(num_nodes + 1))
    found = np.zeros((num_nodes, 2), np.int64)
    count = 0
    for first in range(num_nodes):
        cut = 0.0
        best = limit
        best_last = -1
        for last in range(first, min(num_nodes - 1, first + num_nodes // 2 + 1)):
            for place in range(low_starts[last], low_starts[last + 1]):
                cut += values[by_low[place]]
            for place in range(high_starts[last], high_starts[last + 1]):
                edge = by_high[place]
                cut += values[edge] if low[edge] < first else -values[edge]
            if last > first and last - first < num_nodes - 2 and cut < best - 1e-9:
                best = cut
                best_last = last
        if best_last >= 0:
            found[count, 0] = first
            found[count, 1] = best_last
            count += 1
    return found[:count].copy()


@kernel("void(int64[::1], float64[::1], int64[::1], int64, int64)")
def _sift(heap: IntArray, weight: FloatArray, place_of: IntArray, place: int, size: int) -> None:
    """Restore the heap (heaviest first) around one place."""
    node = heap[place]
    while place > 0:
        above = (place - 1) // 2
        if weight[heap[above]] >= weight[node]:
            break
        heap[place] = heap[above]
        place_of[heap[place]] = place
        place = above
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        if below + 1 < size and weight[heap[below + 1]] > weight[heap[below]]:
            below += 1
        if weight[heap[below]] <= weight[node]:
            break
        heap[place] = heap[below]
        place_of[heap[place]] = place
        place = below
    heap[place] = node
    place_of[node] = place


@kernel(
    "Tuple((int64, float64, int64))"
    "(int64, int64[::1], int64[::1], float64[::1], float64, int64[::1])"
)
def _scan(
    count: int,
    starts: IntArray,
    neighbours: IntArray,
    weights: FloatArray,
    limit: float,
    parent: IntArray,
) -> tuple[int, float, int]:
    """One maximum-adjacency order; `parent` joins nodes that no cut below `limit` separates.

    Returns the last node, the cut around it, and the node before it.
    """
    attached = np.zeros(count)
    heap = np.arange(count)
    place_of = np.arange(count)
    size = count
    last = -1
    before = -1
    while size > 0:
        node = heap[0]
        size -= 1
        heap[0] = heap[size]
        place_of[heap[0]] = 0
        place_of[node] = -1
        if size > 0:
            _sift(heap, attached, place_of, 0, size)
        before = last
        last = node
        for place in range(starts[node], starts[node + 1]):
            other = neighbours[place]
            if place_of[other] < 0:
                continue
            attached[other] += weights[place]
            _sift(heap, attached, place_of, place_of[other], size)
            if attached[other] >= limit:
                a = node
                while parent[a] != a:
                    a = parent[a]
                b = other
                while parent[b] != b:
                    b = parent[b]
                parent[b] = a
    return last, attached[last], before


@kernel("boolean[:, ::1](int64, int64[::1], int64[::1], float64[::1], float64, int64)")
def light_cuts(
    num_nodes: int,
    tails: IntArray,
    heads: IntArray,
    values: FloatArray,
    limit: float,
    most: int,
) -> NDArray[np.bool_]:
    """Sets of nodes with a cut below `limit`; none only if there is none.

    Scans of Nagamochi and Ibaraki (1992): whatever no light cut separates is contracted, until
    one class is left. Every minimum cut of a scan that is light is kept, `most` at most.
    """
    tight = values > 1.0 - 1e-7
    count, labels = components(num_nodes, tails[tight], heads[tight])
    found = np.zeros((most, num_nodes), np.bool_)
    number = 0
    while count > 1 and number < most:
        low, high, between = contract(tails, heads, values, labels, count)
        starts, neighbours, weights = adjacency(count, low, high, between)
        parent = np.arange(count)
        last, cut, before = _scan(count, starts, neighbours, weights, limit, parent)
        if cut < limit:
            for node in range(num_nodes):
                found[number, node] = labels[node] == last
            number += 1
            # No other cut below the limit separates the last two nodes more cheaply than this one.
            a = before
            while parent[a] != a:
                a = parent[a]
            parent[last] = a
        name = np.full(count, -1, np.int64)
        into = np.empty(count, np.int64)
        smaller = 0
        for node in range(count):
            root = node
            while parent[root] != root:
                root = parent[root]
            if name[root] < 0:
                name[root] = smaller
                smaller += 1
            into[node] = name[root]
        if smaller == count:
            break
        for node in range(num_nodes):
            labels[node] = into[labels[node]]
        count = smaller
    return found[:number].copy()

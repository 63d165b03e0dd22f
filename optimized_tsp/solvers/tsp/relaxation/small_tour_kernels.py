"""Kernels for shortest tours of a few nodes, which tell how much a local cut can ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray

__all__ = ["FAR", "best_tour", "violating_tour"]

FAR = 1e17
"""Longer than any tour; a way that does not exist is longer still."""

_STARTS = 3
_FEWEST_FOR_SEARCH = 9
"""Nodes from which on the dynamic program takes longer than local search."""


@kernel("float64(float64[:, ::1], float64[:, ::1], int8[:, ::1], int64[::1])")
def best_tour(
    metric: FloatArray, length: FloatArray, parent: NDArray[np.int8], order: IntArray
) -> float:
    """Length of a shortest tour of 3 to 14 nodes (Bellman; Held and Karp); fills `order`.

    `length` and `parent` are space to work in: 2**(n - 1) rows of n - 1.
    """
    last = len(metric) - 1
    for subset in range(1, 1 << last):
        for node in range(last):
            if not subset >> node & 1:
                continue
            rest = subset ^ (1 << node)
            if rest == 0:
                length[subset, node] = metric[last, node]
                parent[subset, node] = -1
                continue
            best = 2.0 * FAR
            best_before = -1
            for before in range(last):
                if rest >> before & 1:
                    cost = length[rest, before] + metric[before, node]
                    if cost < best:
                        best = cost
                        best_before = before
            length[subset, node] = best
            parent[subset, node] = best_before
    subset = (1 << last) - 1
    best = 2.0 * FAR
    node = -1
    for before in range(last):
        cost = length[subset, before] + metric[before, last]
        if cost < best:
            best = cost
            node = before
    place = 0
    while node >= 0:
        order[place] = node
        place += 1
        before = parent[subset, node]
        subset ^= 1 << node
        node = before
    order[place] = last
    return best


@kernel("float64(float64[:, ::1], int64[::1])")
def _improved_tour(metric: FloatArray, order: IntArray) -> float:
    """Make a tour shorter by reversing and by moving pieces until neither helps; its length."""
    size = len(metric)
    improved = True
    while improved:
        improved = False
        for i in range(size - 1):
            for j in range(i + 1, size):
                a = order[i - 1]
                b = order[i]
                c = order[j]
                d = order[(j + 1) % size]
                if a == c or b == d:
                    continue
                gain = metric[a, b] + metric[c, d] - metric[a, c] - metric[b, d]
                if gain > 1e-9:
                    order[i : j + 1] = order[i : j + 1][::-1].copy()
                    improved = True
        for i in range(size):
            a = order[i - 1]
            b = order[i]
            c = order[(i + 1) % size]
            saved = metric[a, b] + metric[b, c] - metric[a, c]
            if saved <= 1e-9:
                continue
            best = saved - 1e-9
            best_place = -1
            for j in range(size):
                if j in (i, (i - 1) % size):
                    continue
                d = order[j]
                e = order[(j + 1) % size]
                added = metric[d, b] + metric[b, e] - metric[d, e]
                if added < best:
                    best = added
                    best_place = j
            if best_place >= 0:
                improved = True
                step = 1 if best_place > i else -1
                last = best_place if best_place > i else best_place + 1
                place = i
                while place != last:
                    order[place] = order[place + step]
                    place += step
                order[last] = b
    length = 0.0
    for i in range(size):
        length += metric[order[i - 1], order[i]]
    return length


@kernel("float64(float64[:, ::1], float64[:, ::1], int8[:, ::1], int64[::1])")
def violating_tour(
    metric: FloatArray, length: FloatArray, parent: NDArray[np.int8], order: IntArray
) -> float:
    """A tour shorter than 1 if there is one, found by local search if possible; its length."""
    size = len(metric)
    if size < _FEWEST_FOR_SEARCH:
        return float(best_tour(metric, length, parent, order))
    best = 2.0 * FAR
    best_order = order.copy()
    for _ in range(_STARTS):
        found = _improved_tour(metric, order)
        if found < best:
            best = found
            best_order[:] = order
        np.random.shuffle(order)
    order[:] = best_order
    if best < 1.0 - 1e-6:
        return best
    return float(best_tour(metric, length, parent, order))

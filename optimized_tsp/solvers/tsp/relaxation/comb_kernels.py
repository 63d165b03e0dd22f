"""Kernels that find blossoms: a handle and an odd number of teeth that are single edges.

On a contracted graph a blossom is a comb. M. W. Padberg and S. Hong, "On the symmetric travelling
salesman problem: a computational study", 1980: the odd components of the fractional edges.
"""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray, components

__all__ = ["odd_components"]


@kernel(
    "Tuple((int64[::1], int64[::1], int64[::1], int64[::1]))"
    "(int64, int64[::1], int64[::1], float64[::1], float64, float64, int64)"
)
def odd_components(
    num_nodes: int,
    tails: IntArray,
    heads: IntArray,
    values: FloatArray,
    margin: float,
    least: float,
    most: int,
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Blossoms whose handles are components of the edges valued in (margin, 1 - margin).

    Teeth are disjoint edges with a value of at least 1/2 that leave the handle. Returns the
    component of every node, the components that are handles, and for handle h its teeth, as edge
    numbers `teeth[starts[h]:starts[h + 1]]`. Violated by at least `least`; `most` handles at most.
    """
    inside = (values > margin) & (values < 1.0 - margin)
    count, labels = components(num_nodes, tails[inside], heads[inside])
    size = np.zeros(count, np.int64)
    for node in range(num_nodes):
        size[labels[node]] += 1
    cut = np.zeros(count)
    starts = np.zeros(count + 1, np.int64)
    for edge in range(len(tails)):
        a = labels[tails[edge]]
        b = labels[heads[edge]]
        if a != b:
            cut[a] += values[edge]
            cut[b] += values[edge]
            starts[a + 1] += 1
            starts[b + 1] += 1
    for component in range(count):
        starts[component + 1] += starts[component]
    fill = starts[:-1].copy()
    leaving = np.empty(starts[count], np.int64)
    for edge in np.argsort(-values, kind="mergesort"):
        a = labels[tails[edge]]
        b = labels[heads[edge]]
        if a != b:
            leaving[fill[a]] = edge
            fill[a] += 1
            leaving[fill[b]] = edge
            fill[b] += 1
    handles = np.empty(count, np.int64)
    tooth_starts = np.zeros(count + 1, np.int64)
    teeth = np.empty(starts[count], np.int64)
    used = np.full(num_nodes, -1, np.int64)
    found = 0
    end = 0
    for handle in range(count):
        if found == most:
            break
        if size[handle] < 3 or size[handle] > num_nodes - 3:
            continue
        begin = end
        total = 0.0
        for place in range(starts[handle], starts[handle + 1]):
            edge = leaving[place]
            if values[edge] < 0.5:
                break
            if used[tails[edge]] != handle and used[heads[edge]] != handle:
                used[tails[edge]] = handle
                used[heads[edge]] = handle
                teeth[end] = edge
                end += 1
                total += values[edge]
        if (end - begin) % 2 == 0 and end > begin:
            end -= 1
            total -= values[teeth[end]]
        if end - begin < 3 or 1 - (end - begin) - cut[handle] + 2.0 * total < least:
            end = begin
            continue
        handles[found] = handle
        found += 1
        tooth_starts[found] = end
    return labels, handles[:found].copy(), tooth_starts[: found + 1].copy(), teeth[:end].copy()

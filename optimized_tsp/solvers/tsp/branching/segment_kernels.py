"""Kernels that find sets of nodes to branch on."""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray

__all__ = ["undecided_segments"]


@kernel("int64[:, ::1](int64, int64[::1], int64[::1], int64[::1], float64[::1], float64, int64)")
def undecided_segments(
    num_nodes: int,
    positions: IntArray,
    tails: IntArray,
    heads: IntArray,
    values: FloatArray,
    tolerance: float,
    most: int,
) -> IntArray:
    """Segments of the tour that a solution enters about one and a half times: a cut near 3.

    Rows are (first, last) positions, both included, at least three nodes inside and outside; the
    `most` nearest to 3 and within `tolerance`, short ones first among equals.
    """
    low = np.minimum(positions[tails], positions[heads])
    high = np.maximum(positions[tails], positions[heads])
    by_low = np.argsort(low)
    low_starts = np.searchsorted(low[by_low], np.arange(num_nodes + 1))
    by_high = np.argsort(high)
    high_starts = np.searchsorted(high[by_high], np.arange(num_nodes + 1))
    found = np.zeros((most, 2), np.int64)
    scores = np.full(most, tolerance)
    count = 0
    for first in range(num_nodes):
        cut = 0.0
        for last in range(first, num_nodes):
            for place in range(low_starts[last], low_starts[last + 1]):
                cut += values[by_low[place]]
            for place in range(high_starts[last], high_starts[last + 1]):
                edge = by_high[place]
                cut += values[edge] if low[edge] < first else -values[edge]
            inside = last - first + 1
            if inside < 3 or inside > num_nodes - 3:
                continue
            score = abs(cut - 3.0) + 1e-3 * min(inside, num_nodes - inside) / num_nodes
            if score >= scores[most - 1]:
                continue
            place = min(count, most - 1)
            while place > 0 and scores[place - 1] > score:
                scores[place] = scores[place - 1]
                found[place] = found[place - 1]
                place -= 1
            scores[place] = score
            found[place, 0] = first
            found[place, 1] = last
            count = min(count + 1, most)
    return found[:count].copy()

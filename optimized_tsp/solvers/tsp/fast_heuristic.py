"""Tours by the `fast-tsp` package: Or-opt and Lin-Kernighan on small integer weights.

It takes full symmetric matrices of weights 0..65535 and has no stop, so costs are scaled into that
range here, and the call runs in a thread that is left behind for the rest of its (short) time when
nobody waits for it any more. Tours are priced elsewhere: scaling can make them worse, not wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import fast_tsp
import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray

__all__ = [
    "EXACT_NODES",
    "asymmetric_weights",
    "find_fast_tour",
    "pairs_to_tour",
    "symmetric_weights",
]

Weights = NDArray[np.uint16]

EXACT_NODES = 20
"""Up to so many nodes fast-tsp finds a shortest tour, for the weights it is given, and returns."""

_LARGEST = 65_535
_POLL_S = 0.02


def find_fast_tour(
    weights: Weights, seconds: float, threads: int, give_up: Callable[[], bool]
) -> IntArray | None:
    """A short tour after about `seconds`, None when it is given up in the meantime."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fast-tsp")
    tour = executor.submit(fast_tsp.find_tour, weights, seconds, threads)
    executor.shutdown(wait=False)
    while not tour.done():
        if give_up():
            return None
        wait([tour], timeout=_POLL_S)
    return np.array(tour.result(), dtype=np.int64)


def symmetric_weights(costs: IntArray, longest: int, *, top: int, offset: int = 0) -> Weights:
    """Weights in the order of the costs: exact up to `longest` where that fits, clipped above it.

    Edges weigh `offset` more than their scaled cost, at most `top` in all; missing ones weigh the
    largest number there is. The fewer of them a tour may use, the lower `top` should be.
    """
    span = max(1, top - offset)
    clipped = np.minimum(costs, longest)
    if longest > span:
        clipped = np.rint(clipped * (span / longest)).astype(np.int64)
    weights = np.where(costs == NO_EDGE, _LARGEST, clipped + offset).astype(np.uint16)
    np.fill_diagonal(weights, 0)
    return weights


def asymmetric_weights(costs: IntArray, longest: int, *, top: int) -> Weights:
    """Weights of the symmetric graph with two nodes for each: i is entered, n + i is left.

    The two are joined by an edge of weight 0, which the offset of all others makes worth using.
    (R. Jonker and T. Volgenant, "Transforming asymmetric into symmetric traveling salesman
    problems", 1983.)
    """
    num_nodes = len(costs)
    offset = min(longest + 1, top // 8)
    one_way = symmetric_weights(costs, longest, top=top, offset=offset)
    np.fill_diagonal(one_way, 0)
    weights = np.full((2 * num_nodes, 2 * num_nodes), _LARGEST, dtype=np.uint16)
    weights[num_nodes:, :num_nodes] = one_way
    weights[:num_nodes, num_nodes:] = one_way.T
    np.fill_diagonal(weights, 0)
    return weights


def pairs_to_tour(order: IntArray) -> IntArray:
    """The directed tour behind a tour of the doubled graph, nodes in the order they are entered."""
    num_nodes = len(order) // 2
    entry = int(np.flatnonzero(order == 0)[0])
    if order[(entry + 1) % len(order)] != num_nodes:
        order = order[::-1]  # walked backwards: left before entered
    return order[order < num_nodes]

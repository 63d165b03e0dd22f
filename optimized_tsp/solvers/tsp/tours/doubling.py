"""Tours of the symmetric graph with two nodes for each: node i is entered, node n + i is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray

__all__ = ["doubled_order", "pairs_to_tour"]


def doubled_order(order: IntArray) -> NDArray[np.int32]:
    """A directed tour as one of the doubled graph: every node entered, then left."""
    return np.stack([order, order + len(order)], axis=1).ravel().astype(np.int32)


def pairs_to_tour(order: NDArray[np.int64] | NDArray[np.int32]) -> IntArray:
    """The directed tour behind one of the doubled graph, nodes in the order they are entered."""
    num_nodes = len(order) // 2
    entry = int(np.flatnonzero(order == 0)[0])
    if order[(entry + 1) % len(order)] != num_nodes:
        order = order[::-1]  # walked backwards: left before entered
    return order[order < num_nodes].astype(np.int64)

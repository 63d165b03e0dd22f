"""Penalties for the doubled graph of an asymmetric instance, from the assignment problem."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray

__all__ = ["assignment_penalties", "doubled_costs"]

_MOST_ROUNDS = 100


def doubled_costs(costs: IntArray) -> tuple[IntArray, tuple[IntArray, IntArray]]:
    """Symmetric costs of 2n nodes, i entered and n + i left, and the n edges joining the two.

    The joining edges cost 0 and are in every tour.
    """
    num_nodes = len(costs)
    entered = np.arange(num_nodes)
    left = entered + num_nodes
    doubled = np.full((2 * num_nodes, 2 * num_nodes), NO_EDGE)
    doubled[num_nodes:, :num_nodes] = costs
    doubled[:num_nodes, num_nodes:] = costs.T
    doubled[entered, left] = doubled[left, entered] = 0
    return doubled, (entered, left)


def assignment_penalties(costs: IntArray) -> IntArray:
    """Dual prices of the cheapest set of cycles through all nodes, as penalties of doubled nodes.

    With them the cheapest 1-tree of the doubled graph costs at least as much as those cycles. Any
    penalties give a valid bound, so nothing depends on these being right.
    """
    num_nodes = len(costs)
    dear = 2 * (int(costs[costs != NO_EDGE].max()) + 1) * num_nodes
    finite = np.where(costs == NO_EDGE, dear, costs)
    _, successor = linear_sum_assignment(finite)
    chosen = finite[np.arange(num_nodes), successor]
    # Shortest paths in the residual graph (Bellman and Ford) are the prices of entering nodes.
    detour = finite - chosen[:, None]
    entering = np.zeros(num_nodes, dtype=np.int64)
    for _ in range(_MOST_ROUNDS):
        shorter = np.minimum(entering, (entering[successor][:, None] + detour).min(axis=0))
        if np.array_equal(shorter, entering):
            break
        entering = shorter
    leaving = chosen - entering[successor]
    return -np.concatenate([entering, leaving])

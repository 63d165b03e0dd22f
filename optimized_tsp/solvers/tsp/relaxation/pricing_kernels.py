"""Kernels that price edges in exact integers: costs and dual values in units of 2**-shift.

The caller guarantees (see `duals.py`) that no single reduced cost exceeds 2**60; the sums here stop
at `_FLOOR`, so nothing overflows.
"""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.compiled import kernel

__all__ = ["NO_BOUND", "price_all_edges", "reduced_costs"]

NO_BOUND = -(2**62)
"""Returned for a bound too low to be computed."""

_FLOOR = -(2**61)


@kernel(
    "Tuple((int64[::1], int64[::1], int64[::1], int64[::1]))(int64[::1], int64[::1], "
    "int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def _node_prices(
    node_duals: IntArray,
    starts: IntArray,
    nodes: IntArray,
    labels: IntArray,
    offsets: IntArray,
    weights: IntArray,
    cut_duals: IntArray,
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """What an edge pays at each end if no cut has both ends labelled, and the labels by node."""
    num_nodes = len(node_duals)
    prices = node_duals.copy()
    begins = np.zeros(num_nodes + 1, np.int64)
    for cut in range(len(cut_duals)):
        for place in range(starts[cut], starts[cut + 1]):
            prices[nodes[place]] += cut_duals[cut] * weights[offsets[cut] + labels[place]]
            begins[nodes[place] + 1] += 1
    for node in range(num_nodes):
        begins[node + 1] += begins[node]
    fill = begins[:-1].copy()
    cut_of = np.empty(len(nodes), np.int64)
    label_of = np.empty(len(nodes), np.int64)
    for cut in range(len(cut_duals)):
        for place in range(starts[cut], starts[cut + 1]):
            node = nodes[place]
            cut_of[fill[node]] = cut
            label_of[fill[node]] = labels[place]
            fill[node] += 1
    return prices, begins, cut_of, label_of


@kernel(
    "int64(int64, int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], "
    "int64[::1], int64[::1])"
)
def _paid_twice(
    head: int,
    begins: IntArray,
    cut_of: IntArray,
    label_of: IntArray,
    mark: IntArray,
    offsets: IntArray,
    sizes: IntArray,
    weights: IntArray,
    cut_duals: IntArray,
) -> int:
    """What the prices of two ends count too much for cuts that label both; `mark` has the tail's
    labels."""
    value = 0
    for place in range(begins[head], begins[head + 1]):
        cut = cut_of[place]
        label = mark[cut]
        if label > 0:
            other = label_of[place]
            row = offsets[cut]
            value += cut_duals[cut] * (
                weights[row + label]
                + weights[row + other]
                - weights[row + label * sizes[cut] + other]
            )
    return value


@kernel(
    "Tuple((int64, int64, int64[::1], int64[::1], int64[::1]))"
    "(int64[:, ::1], int64, int64[::1], int64[::1], int64[::1], int64[::1], "
    "int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64, int64)"
)
def price_all_edges(
    costs: IntArray,
    shift: int,
    node_duals: IntArray,
    starts: IntArray,
    nodes: IntArray,
    labels: IntArray,
    offsets: IntArray,
    sizes: IntArray,
    weights: IntArray,
    cut_duals: IntArray,
    forced: IntArray,
    limit: int,
    most: int,
) -> tuple[int, int, IntArray, IntArray, IntArray]:
    """Reduced costs of all edges of a dense graph, for cut duals that are not negative.

    `forced` holds the sorted keys `low * n + high` of edges every tour has. Returns the smallest
    total reduced cost of any choice of edges (`NO_BOUND` if it is too low), the number of edges
    with a reduced cost below `limit`, and these edges and costs (the first `most` of them).
    """
    num_nodes = len(costs)
    prices, begins, cut_of, label_of = _node_prices(
        node_duals, starts, nodes, labels, offsets, weights, cut_duals
    )
    mark = np.zeros(len(cut_duals), np.int64)
    tails = np.empty(most, np.int64)
    heads = np.empty(most, np.int64)
    reduced = np.empty(most, np.int64)
    total = 0
    count = 0
    next_forced = 0
    threshold = max(limit, 0)
    for tail in range(num_nodes):
        for place in range(begins[tail], begins[tail + 1]):
            mark[cut_of[place]] = label_of[place]
        for head in range(tail + 1, num_nodes):
            cost = costs[tail, head]
            if cost >= NO_EDGE // 2:
                continue
            is_forced = next_forced < len(forced) and forced[next_forced] == tail * num_nodes + head
            value = (cost << shift) - prices[tail] - prices[head]
            if value >= threshold and not is_forced:
                continue
            # The metric of a cut makes this 0 or more, so the test above was sound.
            value += _paid_twice(
                head, begins, cut_of, label_of, mark, offsets, sizes, weights, cut_duals
            )
            if is_forced:
                next_forced += 1
                if total > _FLOOR:
                    total += value
            elif value < 0 and total > _FLOOR:
                total += value
            if value < limit:
                if count < most:
                    tails[count] = tail
                    heads[count] = head
                    reduced[count] = value
                count += 1
        for place in range(begins[tail], begins[tail + 1]):
            mark[cut_of[place]] = 0
    if total <= _FLOOR:
        total = NO_BOUND
    kept = min(count, most)
    return total, count, tails[:kept].copy(), heads[:kept].copy(), reduced[:kept].copy()


@kernel(
    "int64[::1](int64[::1], int64[::1], int64[::1], int64, int64[::1], int64[::1], int64[::1], "
    "int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def reduced_costs(
    tails: IntArray,
    heads: IntArray,
    costs: IntArray,
    shift: int,
    node_duals: IntArray,
    starts: IntArray,
    nodes: IntArray,
    labels: IntArray,
    offsets: IntArray,
    sizes: IntArray,
    weights: IntArray,
    cut_duals: IntArray,
) -> IntArray:
    """Reduced costs of a list of edges (fastest when sorted by tail); any signs of cut duals."""
    prices, begins, cut_of, label_of = _node_prices(
        node_duals, starts, nodes, labels, offsets, weights, cut_duals
    )
    mark = np.zeros(len(cut_duals), np.int64)
    result = np.empty(len(tails), np.int64)
    marked = -1
    for edge in range(len(tails)):
        tail = tails[edge]
        head = heads[edge]
        if tail != marked:
            if marked >= 0:
                for place in range(begins[marked], begins[marked + 1]):
                    mark[cut_of[place]] = 0
            for place in range(begins[tail], begins[tail + 1]):
                mark[cut_of[place]] = label_of[place]
            marked = tail
        value = (costs[edge] << shift) - prices[tail] - prices[head]
        value += _paid_twice(
            head, begins, cut_of, label_of, mark, offsets, sizes, weights, cut_duals
        )
        result[edge] = value
    return result

"""Kernels over many cuts at once, in the flat form of `CutTable`."""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray

__all__ = ["activities", "coefficients", "tighten_all"]

_LEAST_GAIN = 1e-6


@kernel(
    "Tuple((int64[::1], int64[::1], float64[::1]))(int64, int64[::1], int64[::1], "
    "int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def coefficients(
    num_nodes: int,
    tails: IntArray,
    heads: IntArray,
    starts: IntArray,
    nodes: IntArray,
    labels: IntArray,
    offsets: IntArray,
    sizes: IntArray,
    weights: IntArray,
) -> tuple[IntArray, IntArray, FloatArray]:
    """The coefficients of all cuts on some edges, row by row: row starts, edges and values."""
    count = len(starts) - 1
    row_starts = np.zeros(count + 1, np.int64)
    label = np.zeros(num_nodes, np.int64)
    capacity = max(16, 4 * len(tails))
    edges = np.empty(capacity, np.int64)
    values = np.empty(capacity)
    size = 0
    for cut in range(count):
        for place in range(starts[cut], starts[cut + 1]):
            label[nodes[place]] = labels[place]
        if size + len(tails) > capacity:
            capacity = 2 * (size + len(tails))
            more_edges = np.empty(capacity, np.int64)
            more_edges[:size] = edges[:size]
            edges = more_edges
            more_values = np.empty(capacity)
            more_values[:size] = values[:size]
            values = more_values
        for edge in range(len(tails)):
            a = label[tails[edge]]
            b = label[heads[edge]]
            if a != b:
                value = weights[offsets[cut] + a * sizes[cut] + b]
                if value != 0:
                    edges[size] = edge
                    values[size] = value
                    size += 1
        row_starts[cut + 1] = size
        for place in range(starts[cut], starts[cut + 1]):
            label[nodes[place]] = 0
    return row_starts, edges[:size].copy(), values[:size].copy()


@kernel(
    "float64[::1](int64, int64[::1], int64[::1], float64[::1], "
    "int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def activities(
    num_nodes: int,
    neighbour_starts: IntArray,
    neighbours: IntArray,
    values: FloatArray,
    starts: IntArray,
    nodes: IntArray,
    labels: IntArray,
    offsets: IntArray,
    sizes: IntArray,
    weights: IntArray,
) -> FloatArray:
    """The left-hand side of every cut for a fractional solution given by its adjacency."""
    count = len(starts) - 1
    result = np.zeros(count)
    label = np.zeros(num_nodes, np.int64)
    for cut in range(count):
        for place in range(starts[cut], starts[cut + 1]):
            label[nodes[place]] = labels[place]
        total = 0.0
        offset = offsets[cut]
        for place in range(starts[cut], starts[cut + 1]):
            node = nodes[place]
            row = offset + labels[place] * sizes[cut]
            for edge in range(neighbour_starts[node], neighbour_starts[node + 1]):
                other = label[neighbours[edge]]
                # An edge between two labelled nodes is met twice.
                if other == 0 or neighbours[edge] > node:
                    total += values[edge] * weights[row + other]
        result[cut] = total
        for place in range(starts[cut], starts[cut + 1]):
            label[nodes[place]] = 0
    return result


@kernel(
    "Tuple((float64, int64))"
    "(int64[::1], int64[::1], float64[::1], int64[::1], int64[:, ::1], int64[::1], int64)"
)
def _best_label(
    neighbour_starts: IntArray,
    neighbours: IntArray,
    values: FloatArray,
    label: IntArray,
    weights: IntArray,
    population: IntArray,
    node: int,
) -> tuple[float, int]:
    """How far a neighbour's label would lower the left-hand side at one node, and which one."""
    here = label[node]
    begin = neighbour_starts[node]
    end = neighbour_starts[node + 1]
    if population[here] <= 1:
        return 0.0, -1
    current = 0.0
    for place in range(begin, end):
        current += values[place] * weights[here, label[neighbours[place]]]
    best = current - _LEAST_GAIN
    best_label = -1
    for candidate in range(begin, end):
        there = label[neighbours[candidate]]
        if there in (here, best_label):
            continue
        cost = 0.0
        for place in range(begin, end):
            cost += values[place] * weights[there, label[neighbours[place]]]
        if cost < best:
            best = cost
            best_label = there
    return best - current, best_label


@kernel(
    "float64(int64[::1], int64[::1], float64[::1], int64[::1], int64[:, ::1], int64[::1], "
    "int64[::1], int64[::1], int64)"
)
def _relabel(
    neighbour_starts: IntArray,
    neighbours: IntArray,
    values: FloatArray,
    label: IntArray,
    weights: IntArray,
    population: IntArray,
    queue: IntArray,
    queued: IntArray,
    size: int,
) -> float:
    """Move nodes to the label of a neighbour while that lowers the left-hand side.

    Changes `label` and `population` (nodes of every label, never 0); returns the change. The first
    `size` nodes of `queue` are tried, and neighbours of every node that moved; `queued` says which
    nodes wait.
    """
    change = 0.0
    first = 0
    moves = 0
    most_moves = 10 * len(label)
    while size > 0 and moves < most_moves:
        node = queue[first]
        first = (first + 1) % len(queue)
        size -= 1
        queued[node] = 0
        gain, there = _best_label(
            neighbour_starts, neighbours, values, label, weights, population, node
        )
        if there < 0:
            continue
        change += gain
        population[label[node]] -= 1
        population[there] += 1
        label[node] = there
        moves += 1
        for place in range(neighbour_starts[node], neighbour_starts[node + 1]):
            other = neighbours[place]
            if queued[other] == 0:
                queued[other] = 1
                queue[(first + size) % len(queue)] = other
                size += 1
    return change


@kernel(
    "Tuple((int64[::1], int64[:, ::1], float64[::1]))"
    "(int64, int64[::1], int64[::1], float64[::1], int64[::1], int64[::1], int64[::1], "
    "int64[::1], int64[::1], int64[::1], float64[::1], float64, float64, int64)"
)
def tighten_all(
    num_nodes: int,
    neighbour_starts: IntArray,
    neighbours: IntArray,
    values: FloatArray,
    starts: IntArray,
    nodes: IntArray,
    labels: IntArray,
    offsets: IntArray,
    sizes: IntArray,
    weights: IntArray,
    slacks: FloatArray,
    most_slack: float,
    least: float,
    most: int,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Violated cuts made from cuts with little slack by giving nodes other labels.

    Returns the number of the cut each one comes from, the new label of every node, and the slack
    (at most -`least`). The rows of `slacks` belong to the cuts; `most` cuts are found at most.
    """
    count = len(starts) - 1
    origins = np.empty(most, np.int64)
    found_labels = np.empty((most, num_nodes), np.int64)
    found_slacks = np.empty(most)
    found = 0
    queue = np.empty(num_nodes, np.int64)
    for cut in range(count):
        if slacks[cut] > most_slack or found == most:
            continue
        size = sizes[cut]
        label = np.zeros(num_nodes, np.int64)
        population = np.zeros(size, np.int64)
        queued = np.zeros(num_nodes, np.int64)
        for place in range(starts[cut], starts[cut + 1]):
            node = nodes[place]
            label[node] = labels[place]
            population[labels[place]] += 1
            queued[node] = 1
            for edge in range(neighbour_starts[node], neighbour_starts[node + 1]):
                queued[neighbours[edge]] = 1
        population[0] = num_nodes - (starts[cut + 1] - starts[cut])
        waiting = 0
        for node in range(num_nodes):
            if queued[node] == 1:
                queue[waiting] = node
                waiting += 1
        metric = weights[offsets[cut] : offsets[cut] + size * size].copy().reshape((size, size))
        change = _relabel(
            neighbour_starts,
            neighbours,
            values,
            label,
            metric,
            population,
            queue,
            queued,
            waiting,
        )
        if change < -_LEAST_GAIN and slacks[cut] + change < -least:
            origins[found] = cut
            found_labels[found] = label
            found_slacks[found] = slacks[cut] + change
            found += 1
    return origins[:found].copy(), found_labels[:found].copy(), found_slacks[:found].copy()

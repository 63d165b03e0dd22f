"""Kernels for local cuts: facets that a solution violates when all but a few nodes are one node.

The solution is projected on k classes of nodes. It is a convex combination of closed walks through
all classes (plus surplus) or it violates an inequality `metric . x >= rhs`, where `rhs` is the
length of a shortest tour of the k classes in that metric; column generation with a dynamic program
for the tours finds out which.

D. Applegate, R. Bixby, V. Chvatal and W. Cook, "TSP cuts which do not conform to the template
paradigm", 2001.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray
from optimized_tsp.solvers.tsp.relaxation.small_tour_kernels import FAR, best_tour, violating_tour

__all__ = ["local_cuts"]

_MOST_EDGES = 60
_MOST_DENOMINATOR = 200


@kernel("void(float64[:, ::1], int64[:, ::1])")
def _close(metric: FloatArray, step: IntArray) -> None:
    """All shortest ways (Floyd and Warshall); `step[i, j]` is the first node on the way."""
    size = len(metric)
    for i in range(size):
        for j in range(size):
            step[i, j] = j
    for between in range(size):
        for i in range(size):
            first = metric[i, between]
            if first > FAR:
                continue
            for j in range(size):
                if first + metric[between, j] < metric[i, j] - 1e-12:
                    metric[i, j] = first + metric[between, j]
                    step[i, j] = step[i, between]


@kernel("void(float64[:, ::1], int64[::1], int64[::1], float64[::1], float64)")
def _spread(
    metric: FloatArray, tails: IntArray, heads: IntArray, values: FloatArray, factor: float
) -> None:
    """Fill the matrix from values on edges (times `factor`, rounded when it is not 0)."""
    size = len(metric)
    for i in range(size):
        for j in range(size):
            metric[i, j] = 0.0 if i == j else 10.0 * FAR
    for edge in range(len(tails)):
        value = max(values[edge], 0.0)
        if factor != 0.0:
            value = np.round(value * factor)
        metric[tails[edge], heads[edge]] = value
        metric[heads[edge], tails[edge]] = value


@kernel(
    "boolean(float64[:, ::1], int64, int64[::1], int64[::1], float64[::1], "
    "float64[:, ::1], int8[:, ::1], float64)"
)
def _separate(
    projected: FloatArray,
    most_rounds: int,
    tails: IntArray,
    heads: IntArray,
    duals: FloatArray,
    length: FloatArray,
    parent: NDArray[np.int8],
    tolerance: float,
) -> bool:
    """Whether the solution is outside; then `duals` hold an inequality `duals . x >= 1`.

    The revised simplex method on: the most tours that fit below the solution. Tours are columns,
    made when they are needed, and so are surplus columns.
    """
    size = len(projected)
    edges = len(tails)
    edge_at = np.full((size, size), -1, np.int64)
    basis_inverse = np.eye(edges)
    basic = np.empty(edges)
    basic_cost = np.zeros(edges)
    for edge in range(edges):
        edge_at[tails[edge], heads[edge]] = edge
        edge_at[heads[edge], tails[edge]] = edge
        # A little more than the solution has, at random, against degenerate steps.
        basic[edge] = projected[tails[edge], heads[edge]] + 1e-6 * np.random.random()
    metric = np.empty((size, size))
    step = np.empty((size, size), np.int64)
    order = np.random.permutation(size)
    column = np.empty(edges)
    direction = np.empty(edges)
    for _ in range(most_rounds):
        if np.dot(basic_cost, basic) > 1.0 - tolerance:
            return False
        duals[:] = 0.0
        for row in range(edges):
            if basic_cost[row] != 0.0:
                for edge in range(edges):
                    duals[edge] += basis_inverse[row, edge]
        column[:] = 0.0
        lowest = int(np.argmin(duals))
        cost = 0.0
        if duals[lowest] < -1e-9:
            column[lowest] = 1.0
        else:
            _spread(metric, tails, heads, duals, 0.0)
            _close(metric, step)
            shortest = violating_tour(metric, length, parent, order)
            if shortest > FAR:
                return False
            if shortest >= 1.0 - 1e-7:
                return True
            for place in range(size):
                node = order[place]
                target = order[(place + 1) % size]
                while node != target:
                    following = step[node, target]
                    column[edge_at[node, following]] += 1.0
                    node = following
            cost = 1.0
        best = 1e18
        leaving = -1
        for row in range(edges):
            entry = 0.0
            for edge in range(edges):
                entry += basis_inverse[row, edge] * column[edge]
            direction[row] = entry
            if entry > 1e-9 and basic[row] / entry < best:
                best = basic[row] / entry
                leaving = row
        if leaving < 0:
            return False
        pivot = direction[leaving]
        for edge in range(edges):
            basis_inverse[leaving, edge] /= pivot
        basic[leaving] = best
        basic_cost[leaving] = cost
        for row in range(edges):
            factor = direction[row]
            if row != leaving and factor != 0.0:
                for edge in range(edges):
                    basis_inverse[row, edge] -= factor * basis_inverse[leaving, edge]
                basic[row] -= factor * best
    return False


@kernel("int64(float64[:, ::1], int64, float64[:, ::1], int8[:, ::1], float64, int64[:, ::1])")
def _facet(
    projected: FloatArray,
    most_rounds: int,
    length: FloatArray,
    parent: NDArray[np.int8],
    tolerance: float,
    weights: IntArray,
) -> int:
    """Right-hand side of a violated inequality with the integer metric `weights`, 0 without one."""
    size = len(projected)
    tails = np.empty(size * size, np.int64)
    heads = np.empty(size * size, np.int64)
    edges = 0
    for i in range(size):
        for j in range(i + 1, size):
            if projected[i, j] > 1e-6:
                tails[edges] = i
                heads[edges] = j
                edges += 1
    if edges > _MOST_EDGES:
        return 0
    tails = tails[:edges].copy()
    heads = heads[:edges].copy()
    duals = np.empty(edges)
    if not _separate(projected, most_rounds, tails, heads, duals, length, parent, tolerance):
        return 0
    metric = np.empty((size, size))
    step = np.empty((size, size), np.int64)
    order = np.empty(size, np.int64)
    for factor in range(2, _MOST_DENOMINATOR):
        if np.abs(duals * factor - np.round(duals * factor)).max() > 1e-4:
            continue
        _spread(metric, tails, heads, duals, float(factor))
        _close(metric, step)
        # Small integers: the shortest tour is exact, and valid for every tour by definition.
        rhs = int(np.round(best_tour(metric, length, parent, order)))
        activity = 0.0
        for i in range(size):
            for j in range(i + 1, size):
                activity += projected[i, j] * metric[i, j]
        if activity > rhs * (1.0 - 0.5 * tolerance):
            return 0
        for i in range(size):
            for j in range(size):
                weights[i, j] = int(np.round(metric[i, j]))
        return rhs
    return 0


@kernel("int64(int64, int64[::1], int64[::1], float64[::1], int64, int64[::1])")
def _grow(
    seed: int,
    starts: IntArray,
    neighbours: IntArray,
    values: FloatArray,
    classes: int,
    labels: IntArray,
) -> int:
    """Label the seed and nodes well tied to it 1, 2, …; returns the number of classes."""
    num_nodes = len(labels)
    tie = np.zeros(num_nodes)
    border = np.empty(num_nodes, np.int64)
    width = 0
    count = 1
    node = seed
    while True:
        labels[node] = count
        count += 1
        for place in range(starts[node], starts[node + 1]):
            other = neighbours[place]
            if labels[other] == 0:
                if tie[other] == 0.0:
                    border[width] = other
                    width += 1
                tie[other] += values[place]
        if count >= classes or width == 0:
            return count
        best = -1.0
        best_place = 0
        for place in range(width):
            score = tie[border[place]] + 0.3 * np.random.random()
            if score > best:
                best = score
                best_place = place
        node = border[best_place]
        width -= 1
        border[best_place] = border[width]


@kernel(
    "Tuple((int64[:, ::1], int64[:, :, ::1], int64[::1], int64[::1]))(int64, int64[::1], "
    "int64[::1], float64[::1], int64[::1], int64, int64, float64, int64, int64)"
)
def local_cuts(
    num_nodes: int,
    starts: IntArray,
    neighbours: IntArray,
    values: FloatArray,
    seeds: IntArray,
    classes: int,
    most_rounds: int,
    tolerance: float,
    most: int,
    seed: int,
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Local cuts around some nodes of a (contracted) solution given by its adjacency.

    `classes` (at most 14) counts the node that stands for all the rest. Returns labels of all
    nodes, metrics, numbers of classes and right-hand sides; `most` cuts at most.
    """
    np.random.seed(seed)
    length = np.empty((1 << (classes - 1), classes - 1))
    parent = np.empty((1 << (classes - 1), classes - 1), np.int8)
    found_labels = np.zeros((most, num_nodes), np.int64)
    metrics = np.zeros((most, classes, classes), np.int64)
    sizes = np.zeros(most, np.int64)
    rhs = np.zeros(most, np.int64)
    names = np.random.randint(1, 1 << 40, num_nodes)
    tried = np.zeros(len(seeds), np.int64)
    found = 0
    for attempt in range(len(seeds)):
        labels = np.zeros(num_nodes, np.int64)
        count = _grow(seeds[attempt], starts, neighbours, values, classes, labels)
        if count < 6 or count > num_nodes:
            continue
        name = 0
        for node in range(num_nodes):
            if labels[node] > 0:
                name ^= names[node]
        repeated = False
        for earlier in range(attempt):
            repeated = repeated or tried[earlier] == name
        if repeated:
            continue
        tried[attempt] = name
        projected = np.zeros((count, count))
        for node in range(num_nodes):
            for place in range(starts[node], starts[node + 1]):
                a = labels[node]
                b = labels[neighbours[place]]
                if a != b:
                    projected[a, b] += values[place]
        weights = np.zeros((count, count), np.int64)
        value = _facet(projected, most_rounds, length, parent, tolerance, weights)
        if value > 0:
            found_labels[found] = labels
            metrics[found, :count, :count] = weights
            sizes[found] = count
            rhs[found] = value
            found += 1
            if found == most:
                break
    return (
        found_labels[:found].copy(),
        metrics[:found].copy(),
        sizes[:found].copy(),
        rhs[:found].copy(),
    )

"""Tours of instances too large for a full matrix: cells of some thousand nodes, one at a time.

A cell keeps what the tour does outside it: every stretch of the tour between leaving the cell and
coming back is one edge that must stay. What is left is a small problem of its own. (The partition
by medians is R. M. Karp's, "Probabilistic analysis of partitioning algorithms ...", 1977.)
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.fast_heuristic import find_fast_tour, symmetric_weights
from optimized_tsp.solvers.tsp.graph import PointGraph
from optimized_tsp.solvers.tsp.search import Search

__all__ = ["improve_large_tour"]

_CELL_NODES = 1_000
_FEWEST_NODES = 8
_FIRST_CELL_SECONDS = 0.05
_LAST_CELL_SECONDS = 1.0
_OFFER_EVERY_S = 1.0
_STRETCH_BONUS = 15_000
_TOP = 60_000


def improve_large_tour(search: Search, graph: PointGraph, *, threads: int, seed: int) -> None:
    """Improve the tour cell by cell, with other cells in every pass, until the search is over."""
    if search.tour is None:
        raise ValueError("a tour to improve is needed")
    random = np.random.default_rng(seed)
    tour, offered = search.tour, time.monotonic()
    seconds = _FIRST_CELL_SECONDS
    while not search.over():
        for cell in _cells(graph.distances.points, random):
            if search.over():
                break
            tour = _improved(search, graph, tour, cell, seconds, threads)
            if time.monotonic() > offered + _OFFER_EVERY_S:
                search.offer_tour(tour)
                offered = time.monotonic()
        seconds = min(1.5 * seconds, _LAST_CELL_SECONDS)
    search.offer_tour(tour)


def _cells(points: NDArray[np.float64], random: np.random.Generator) -> list[IntArray]:
    """Nodes in cells of similar size, cut by medians along axes turned at random."""
    angle = random.uniform(0.0, np.pi)
    turned = points @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    most = _CELL_NODES * random.uniform(0.7, 1.0)
    waiting, cells = [np.arange(len(points))], []
    while waiting:
        cell = waiting.pop()
        if len(cell) <= most:
            cells.append(cell)
            continue
        parts = math.ceil(len(cell) / most)
        middle = len(cell) * (parts // 2) // parts
        axis = int(np.ptp(turned[cell], axis=0).argmax())
        order = np.argpartition(turned[cell, axis], middle)
        waiting += [cell[order[middle:]], cell[order[:middle]]]
    return cells


def _improved(
    search: Search, graph: PointGraph, tour: IntArray, cell: IntArray, seconds: float, threads: int
) -> IntArray:
    """The tour with the best way through one cell, or as it was."""
    if len(cell) < _FEWEST_NODES:
        return tour
    places = np.empty(len(tour), dtype=np.int64)
    places[tour] = np.arange(len(tour))
    places = np.sort(places[cell])
    nodes = tour[places]
    # How far along the tour the cell's next node is: more than 1 means out of the cell and back.
    steps = np.diff(places, append=places[0] + len(tour))
    leaving = np.flatnonzero(steps > 1)
    back = (leaving + 1) % len(nodes)
    costs = graph.between(nodes[:, None], nodes[None, :])
    costs[leaving, back] = costs[back, leaving] = 0
    now = np.arange(len(nodes))
    longest = max(1, 2 * int(costs[now, np.roll(now, -1)].max()))
    weights = symmetric_weights(costs, longest, top=_TOP, offset=_STRETCH_BONUS)
    weights[leaving, back] = weights[back, leaving] = 0
    budget = max(0.01, min(seconds, search.remaining()))
    order = find_fast_tour(weights, budget, threads, search.cancelled)
    if order is None or _length(costs, order) >= _length(costs, now):
        return tour
    return _unfolded(tour, places, steps, order)


def _length(costs: IntArray, order: IntArray) -> int:
    return int(costs[order, np.roll(order, -1)].sum())


def _unfolded(tour: IntArray, places: IntArray, steps: IntArray, order: IntArray) -> IntArray:
    """The whole tour behind a tour of the cell, or the old one when a stretch outside was lost."""
    twice = np.concatenate([tour, tour])
    pieces = []
    for a, b in zip(order.tolist(), np.roll(order, -1).tolist(), strict=True):
        pieces.append(tour[places[a], None])
        if steps[a] > 1 and b == (a + 1) % len(places):
            pieces.append(twice[places[a] + 1 : places[a] + steps[a]])
        elif steps[b] > 1 and a == (b + 1) % len(places):
            pieces.append(twice[places[b] + 1 : places[b] + steps[b]][::-1])
    unfolded = np.concatenate(pieces)
    return unfolded if len(unfolded) == len(tour) else tour

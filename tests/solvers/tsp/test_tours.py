"""Heuristic tours: always tours, soon good, and given up at once when nobody wants them."""

from __future__ import annotations

import time

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.fast_heuristic import (
    asymmetric_weights,
    find_fast_tour,
    pairs_to_tour,
    symmetric_weights,
)
from optimized_tsp.solvers.tsp.graph import DenseGraph, PointGraph
from optimized_tsp.solvers.tsp.large_tours import improve_large_tour
from optimized_tsp.solvers.tsp.space_filling import hilbert_tour
from optimized_tsp.solvers.tsp.tour_finder import TourFinder, nearest_neighbour_tour
from tests.solvers.tsp.searching import search_on


def points(count: int) -> PointGraph:
    """Points spread at random over a square of a million a side."""
    spread = np.random.default_rng(count).uniform(0, 1e6, (count, 2))
    return PointGraph(Distances(spread, "EUC_2D", 1.0))


def expected_length(count: int) -> float:
    """What the best tour of so many of those points is about as long as (Johnson, McGeoch)."""
    return float(0.7124 * np.sqrt(count * 1e12) * (1 + 0.33 / count))


def is_permutation(order: IntArray, count: int) -> bool:
    return np.array_equal(np.sort(order), np.arange(count))


@pytest.mark.parametrize("longest", [100, 60_000, 2**40])
def test_weights_keep_the_order_of_costs(longest: int) -> None:
    costs = np.random.default_rng(1).integers(0, 2 * longest, (40, 40))
    costs[3, 7] = NO_EDGE
    np.fill_diagonal(costs, NO_EDGE)
    weights = symmetric_weights(costs, longest, top=60_000)

    assert weights[3, 7] == 65_535
    assert weights[weights < 65_535].max() <= 60_000
    order = np.argsort(costs, axis=None)
    diagonal = np.eye(40, dtype=bool).ravel()[order]
    assert (np.diff(weights.ravel()[order][~diagonal].astype(int)) >= 0).all()


def test_a_doubled_tour_is_read_in_both_directions() -> None:
    forwards = np.array([0, 4, 2, 6, 1, 5, 3, 7])
    for turn in range(8):
        for order in (np.roll(forwards, turn), np.roll(forwards, turn)[::-1]):
            tour = pairs_to_tour(order)
            assert np.roll(tour, -int(np.flatnonzero(tour == 0)[0])).tolist() == [0, 2, 1, 3]


def test_one_way_costs_are_searched_in_their_direction() -> None:
    """Forwards around a ring is cheap, backwards is dear."""
    count = 40
    costs = np.full((count, count), 900)
    ring = np.arange(count)
    costs[ring, (ring + 1) % count] = 1
    np.fill_diagonal(costs, NO_EDGE)
    weights = asymmetric_weights(costs, 900, top=60_000)
    pairs = find_fast_tour(weights, 0.2, 1, lambda: False)

    assert pairs is not None
    tour = pairs_to_tour(pairs)
    assert costs[tour, np.roll(tour, -1)].sum() == count


def test_a_call_nobody_waits_for_is_given_up_at_once() -> None:
    weights = symmetric_weights(points(200).dense().costs, 10**6, top=60_000)
    began = time.monotonic()
    assert find_fast_tour(weights, 1.0, 1, lambda: True) is None
    assert time.monotonic() - began < 0.5


def test_the_nearest_neighbour_tour_avoids_missing_edges_while_it_can() -> None:
    costs = np.full((5, 5), NO_EDGE)
    for node in range(4):
        costs[node, node + 1] = 10 - node
    costs[4, 0] = 3
    assert nearest_neighbour_tour(costs).tolist() == [0, 1, 2, 3, 4]
    assert is_permutation(nearest_neighbour_tour(np.full((7, 7), NO_EDGE)), 7)


def test_the_hilbert_curve_is_closed_to_its_neighbours() -> None:
    grid = np.array([(x, y) for x in range(16) for y in range(16)], dtype=float)
    order = hilbert_tour(grid)
    assert is_permutation(order, 256)
    assert (np.abs(np.diff(grid[order], axis=0)).sum(axis=1) == 1).all()
    assert hilbert_tour(np.zeros((3, 2))).tolist() == [0, 1, 2]


def test_slices_reach_good_tours_of_a_thousand_points() -> None:
    graph = points(1_000).dense()
    search, heard = search_on(graph)
    finder = TourFinder(search, graph, 2)
    for _ in range(3):
        finder.next_slice()

    assert search.tour is not None
    assert is_permutation(search.tour, 1_000)
    assert heard.reports[-1].cost is not None
    assert heard.reports[-1].cost < 1.08 * expected_length(1_000)


def test_sparse_graphs_get_tours_without_missing_edges() -> None:
    costs = np.full((150, 150), NO_EDGE)
    random = np.random.default_rng(3)
    hidden = random.permutation(150)
    costs[hidden, np.roll(hidden, -1)] = 500
    extra = random.integers(0, 150, (900, 2))
    costs[extra[:, 0], extra[:, 1]] = random.integers(1, 1_000, 900)
    both = np.minimum(costs, costs.T)
    graph = DenseGraph(both)
    search, _ = search_on(graph)
    finder = TourFinder(search, graph, 2)
    for _ in range(4):
        finder.next_slice()

    assert search.tour is not None
    assert (both[search.tour, np.roll(search.tour, -1)] < NO_EDGE).all()


def test_large_tours_improve_cell_by_cell() -> None:
    graph = points(6_000)
    search, heard = search_on(graph, seconds=6.0)
    search.offer_tour(hilbert_tour(graph.distances.points))
    improve_large_tour(search, graph, threads=2, seed=1)

    assert search.tour is not None
    assert is_permutation(search.tour, 6_000)
    assert heard.reports[-1].cost is not None
    assert heard.reports[-1].cost < 1.2 * expected_length(6_000)  # 1.38 before, 1.05 when quiet


def test_large_tours_stop_when_told() -> None:
    graph = points(20_000)
    search, heard = search_on(graph)
    search.offer_tour(hilbert_tour(graph.distances.points))
    heard.stop.set()
    began = time.monotonic()
    improve_large_tour(search, graph, threads=1, seed=1)
    assert time.monotonic() - began < 1.0

"""The one way to tours: always tours, soon good, better than none, and given up at once."""

from __future__ import annotations

import time

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE
from optimized_tsp.solvers.tsp.graph import Graph
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.tours.tour_search import TourSearch
from tests.promises import promised
from tests.solvers.tsp.searching import search_on
from tests.solvers.tsp.tours.graphs import (
    expected_length,
    is_permutation,
    one_way,
    points,
    sparse,
)

PLAN = Plan("auto", threads=2, seed=1)
DETERMINISTIC = Plan("auto", threads=1, seed=1, deterministic=True)


def test_first_tours_come_at_once_and_are_good() -> None:
    graph = points(3_000)
    search, heard = search_on(graph)
    began = time.process_time()
    TourSearch(search, graph, PLAN).first_tour()

    assert time.process_time() - began < 2.0
    assert search.tour is not None
    assert is_permutation(search.tour, 3_000)
    assert heard.reports[-1].cost is not None
    assert heard.reports[-1].cost < 1.1 * expected_length(3_000)


@pytest.mark.parametrize("graph", [points(400), one_way(160), sparse(150)], ids=str)
def test_tours_improve_until_the_search_is_over(graph: Graph) -> None:
    search, heard = search_on(graph, seconds=1.5)
    tours = TourSearch(search, graph, PLAN)
    tours.first_tour()
    tours.improve(search.over)

    assert search.remaining() > -0.5
    costs = [report.cost for report in heard.reports if report.cost is not None]
    assert costs == sorted(costs, reverse=True)
    assert len(costs) > 1


def test_a_tour_somebody_else_found_is_where_it_goes_on() -> None:
    graph = sparse(150)
    search, _ = search_on(graph, seconds=5.0)
    tours = TourSearch(search, graph, DETERMINISTIC)
    tours.first_tour()
    better, _ = search_on(graph, seconds=5.0)
    improved = TourSearch(better, graph, DETERMINISTIC)
    improved.first_tour()
    improved.improve(better.over)
    assert better.tour is not None
    assert search.cost is not None
    search.offer_tour(better.tour)
    given = search.cost
    tours.improve(search.over)

    assert search.cost <= given


def test_sparse_graphs_get_tours_without_missing_edges() -> None:
    graph = sparse(300)
    search, _ = search_on(graph, seconds=20.0)
    tours = TourSearch(search, graph, DETERMINISTIC)
    tours.first_tour()
    tours.improve(lambda: search.over() or search.tour is not None)

    assert search.tour is not None
    assert (graph.between(search.tour, np.roll(search.tour, -1)) < NO_EDGE).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9])
def test_the_smallest_graphs(count: int) -> None:
    for graph in (points(count), one_way(count)):
        search, _ = search_on(graph, seconds=1.0)
        tours = TourSearch(search, graph, DETERMINISTIC)
        tours.first_tour()
        tours.improve(search.over)
        assert search.tour is not None
        assert is_permutation(search.tour, count)


def test_the_same_seed_finds_the_same_tours() -> None:
    found = []
    for _ in range(2):
        graph = points(300)
        search, _ = search_on(graph)
        tours = TourSearch(search, graph, DETERMINISTIC)
        tours.first_tour()
        tours.improve(search.over, kicks_per_node=12)
        assert search.tour is not None
        found.append(search.tour.tolist())
    assert found[0] == found[1]


def test_improving_stops_when_told() -> None:
    graph = points(2_000)
    search, heard = search_on(graph)
    tours = TourSearch(search, graph, PLAN)
    tours.first_tour()
    heard.stop.set()
    with promised(1.0):
        tours.improve(search.over)

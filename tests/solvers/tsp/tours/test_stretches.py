"""Several threads on one tour: it stays a tour, what is found is true, and nobody waits long."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.tours import tour_search
from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule, edge_costs
from optimized_tsp.solvers.tsp.tours.greedy import greedy_order
from optimized_tsp.solvers.tsp.tours.neighbours import near_neighbours
from optimized_tsp.solvers.tsp.tours.stretches import Round, improve_stretches, sub_rule
from optimized_tsp.solvers.tsp.tours.tour_search import TourSearch
from tests.solvers.tsp.searching import search_on
from tests.solvers.tsp.tours.graphs import is_permutation, order_cost, points


def test_a_stretch_costs_what_it_costs_in_the_whole() -> None:
    rule = cost_rule(points(200))
    nodes = np.random.default_rng(1).permutation(200)[:50].astype(np.int32)
    part = sub_rule(rule, nodes)
    i, j = np.arange(49), np.arange(1, 50)
    within = edge_costs(part.costs, i, j)
    assert (within == edge_costs(rule.costs, nodes[i].astype(int), nodes[j].astype(int))).all()
    assert (part.mates[0], part.mates[-1]) == (49, 0)
    assert (part.mates[1:-1] == -1).all()


@pytest.mark.parametrize("heat", [0.0, 5_000.0])
def test_rounds_keep_a_tour_and_make_it_cheaper(heat: float) -> None:
    graph = points(1_500)
    rule = cost_rule(graph)
    near = near_neighbours(rule, 8)
    order = greedy_order(rule, near)
    assert order is not None
    offered: list[int] = []
    for k in range(2):
        plan = Round(stretches=5, first=700 * k, threads=2, seconds=1.0, heat=heat, seed=k)
        before = order_cost(rule, order)
        order = improve_stretches(
            rule, near, order, plan, lambda: False, lambda o: offered.append(order_cost(rule, o))
        )
        assert is_permutation(order.astype(np.int64), 1_500)
        assert order_cost(rule, order) < before
    assert offered[-1] == order_cost(rule, order)
    assert offered == sorted(offered, reverse=True)


def test_a_round_ends_when_told() -> None:
    graph = points(1_000)
    rule = cost_rule(graph)
    near = near_neighbours(rule, 8)
    stop = threading.Event()
    plan = Round(stretches=3, first=0, threads=2, seconds=60.0, heat=0.0, seed=1)
    began = time.monotonic()
    improve_stretches(
        rule, near, np.arange(1_000, dtype=np.int32), plan, stop.is_set, lambda _: stop.set()
    )
    assert time.monotonic() - began < 3.0


def test_many_points_are_cut_up_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour_search, "_FEWEST_FOR_STRETCHES", 1_000)
    graph = points(2_000)
    search, heard = search_on(graph, seconds=3.0)
    tours = TourSearch(search, graph, Plan("auto", threads=2, seed=1))
    tours.first_tour()
    first = search.cost
    tours.improve(search.over, threads=2, call_threads=1)
    assert search.tour is not None
    assert first is not None
    assert search.cost is not None
    assert search.cost < first
    assert is_permutation(search.tour, 2_000)
    assert search.remaining() > -1.0
    costs = [report.cost for report in heard.reports if report.cost is not None]
    assert costs == sorted(costs, reverse=True)

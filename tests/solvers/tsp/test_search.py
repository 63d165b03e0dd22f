"""The search keeps the best of what it is offered, at its exact price."""

from __future__ import annotations

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE
from optimized_tsp.solvers.tsp.graph import DenseGraph
from tests.solvers.tsp.searching import search_on


def square() -> DenseGraph:
    """Four corners; the way along the sides costs 4, and there is no edge from 3 to 1."""
    costs = np.array([[0, 1, 5, 1], [1, 0, 1, 5], [5, 1, 0, 1], [1, NO_EDGE, 1, 0]])
    return DenseGraph(costs)


def test_better_tours_are_taken_priced_and_turned_to_start_at_node_0() -> None:
    search, heard = search_on(square())

    assert search.offer_tour(np.array([0, 2, 1, 3]))
    assert search.cost == 12
    assert search.offer_tour(np.array([2, 3, 0, 1]))
    assert not search.offer_tour(np.array([0, 3, 2, 1]))  # as good, not better
    solution = search.solution()
    assert solution is not None
    assert (solution.node_order, solution.cost) == ([0, 1, 2, 3], 4)
    assert [report.cost for report in heard.reports] == [12, 4]
    assert search.statistics["time_to_first_tour_s"] <= search.statistics["time_to_best_s"]


def test_a_tour_along_a_missing_edge_is_none() -> None:
    search, heard = search_on(square())
    assert not search.offer_tour(np.array([0, 2, 3, 1]))
    assert search.solution() is None
    assert heard.reports == []


def test_bounds_only_rise_and_a_met_bound_is_a_proof() -> None:
    search, heard = search_on(square())
    search.raise_bound(2, "test")
    search.raise_bound(1, "test")
    search.offer_tour(np.array([0, 1, 2, 3]))
    assert not search.over()
    search.raise_bound(4, "test")

    assert search.proven
    assert search.over()
    assert [(r.cost, r.lower_bound) for r in heard.reports] == [(None, 2), (4, 2), (4, 4)]


def test_contradictions_are_errors_of_ours() -> None:
    search, _ = search_on(square())
    search.offer_tour(np.array([0, 1, 2, 3]))
    with pytest.raises(AssertionError, match="bound 5 above a tour of cost 4"):
        search.raise_bound(5, "test")
    with pytest.raises(AssertionError, match="no tour can exist, but one is known"):
        search.rule_out_tours("test")


def test_a_closed_search_is_deaf_and_silent() -> None:
    search, heard = search_on(square())
    search.close()
    assert not search.offer_tour(np.array([0, 1, 2, 3]))
    search.raise_bound(1, "test")
    assert (search.cost, search.lower_bound, heard.reports) == (None, None, [])


def test_a_search_is_over_when_stopped_or_late() -> None:
    search, heard = search_on(square())
    assert not search.over()
    heard.stop.set()
    assert search.over()
    late, _ = search_on(square(), seconds=0.0)
    assert late.over()

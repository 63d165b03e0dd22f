"""Points without a matrix: tours with a bound beside them."""

from __future__ import annotations

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.point_stage import solve_points
from tests.solvers.tsp.searching import search_on
from tests.solvers.tsp.tours.graphs import points


@pytest.mark.parametrize(
    "plan", [Plan("auto", 1, 1), Plan("auto", 2, 1), Plan("auto", 1, 1, deterministic=True)]
)
def test_tours_come_with_a_bound(plan: Plan) -> None:
    graph = points(500)
    search, heard = search_on(graph, seconds=5.0)
    search.offer_tour(np.arange(500))
    solve_points(search, graph, plan)
    assert search.cost is not None
    assert search.lower_bound is not None
    assert 0.97 * search.cost < search.lower_bound <= search.cost
    assert search.statistics["engine"] == "held_karp"
    assert search.statistics["held_karp_bound"] == search.lower_bound
    bounds = [report.lower_bound for report in heard.reports if report.lower_bound is not None]
    assert bounds == sorted(bounds)
    assert len(set(bounds)) > 1

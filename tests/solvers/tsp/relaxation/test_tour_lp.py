"""The linear program of tours while rows come and go."""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.relaxation import SymmetricProblem
from optimized_tsp.solvers.tsp.relaxation.duals import CoreEdges
from optimized_tsp.solvers.tsp.relaxation.highs import LpStatus
from optimized_tsp.solvers.tsp.relaxation.pool import CutPool
from optimized_tsp.solvers.tsp.relaxation.separation import Effort, Separator
from optimized_tsp.solvers.tsp.relaxation.tour_lp import TourLp
from tests.solvers.tsp.relaxation.problems import points_matrix, random_points


def never() -> bool:
    return False


def bound_of(lp: TourLp, edges: CoreEdges) -> int:
    duals = lp.duals()
    assert duals is not None
    nothing = np.zeros(len(edges.keys), np.int64)
    return duals.bound(duals.reduced(edges), nothing, nothing + 1)


def test_rows_that_are_slack_go_without_another_solve() -> None:
    problem = SymmetricProblem(points_matrix(random_points(120, 2)))
    tails, heads = np.triu_indices(120, 1)
    edges = CoreEdges.of(problem, np.sort(problem.keys(tails, heads)))
    lp = TourLp(problem, problem.nearest(8))
    separator = Separator(np.arange(120), 1, CutPool(), never)
    gone = 0
    for _ in range(12):
        assert lp.solve(never) is LpStatus.OPTIMAL
        objective, bound = lp.objective, bound_of(lp, edges)

        gone += len(lp.purge(most_age=1, at_least=0))

        assert lp.objective == objective
        assert bound_of(lp, edges) == bound
        iterations = lp.lp.iterations
        assert lp.solve(never) is LpStatus.OPTIMAL
        assert lp.lp.iterations == iterations
        separator.add_violated(lp, Effort())
    assert gone > 0

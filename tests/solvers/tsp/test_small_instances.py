"""Two thousand small instances against brute force, and larger ones that need the whole engine."""

from __future__ import annotations

import threading
from random import Random

import pytest

from optimized_tsp.solvers.contract import Incumbent, Outcome, SolutionStatus
from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolution, TspSolver
from tests.solvers.tsp.brute_force import costs_of, optimal_cost
from tests.solvers.tsp.random_instances import random_instance


def solve(instance: TspInstance, reports: list[Incumbent[TspSolution]]) -> Outcome[TspSolution]:
    return TspSolver().solve(
        instance,
        TspParameters(timeout=60.0),
        seed=1,
        stop=threading.Event(),
        on_incumbent=reports.append,
        start=None,
    )


def assert_answer_is_right(instance: TspInstance) -> None:
    optimum = optimal_cost(costs_of(instance))
    reports: list[Incumbent[TspSolution]] = []
    outcome = solve(instance, reports)
    if optimum is None:
        assert outcome.solution_status is SolutionStatus.INFEASIBLE
        assert all(report.cost is None for report in reports)
        return
    assert outcome.solution_status is SolutionStatus.OPTIMAL
    assert outcome.solution is not None
    assert (outcome.cost, outcome.lower_bound) == (optimum, optimum)
    TspSolver().check(instance, outcome.solution)
    assert all(r.lower_bound is None or r.lower_bound <= optimum for r in reports)


@pytest.mark.parametrize("seed", range(20))
def test_a_hundred_small_instances_equal_brute_force(seed: int) -> None:
    random = Random(seed)
    for _ in range(100):
        assert_answer_is_right(random_instance(random, range(1, 10)))


def test_instances_beyond_exact_heuristics_equal_brute_force() -> None:
    random = Random(99)
    for _ in range(25):
        assert_answer_is_right(random_instance(random, range(11, 14)))

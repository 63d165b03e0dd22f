"""Selections of the solver against dynamic programming, and how a solve behaves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.solvers.knapsack import KnapsackInstance, KnapsackSolution, KnapsackSolver
from tests.promises import promised
from tests.solvers.knapsack.instances import (
    KINDS,
    Kind,
    best_value_by_dynamic_programming,
    best_value_by_enumeration,
    hard_knapsack,
    knapsack,
    random_knapsack,
    unprovable_knapsack,
)
from tests.solvers.knapsack.solve import Solve


def assert_optimal(instance: KnapsackInstance, best_value: int, *, threads: int = 1) -> None:
    """The solver proves this value, and never claimed a bound that it contradicts."""
    solve = Solve()
    outcome = solve.run(instance, threads=threads)

    assert outcome.solution is not None
    KnapsackSolver().check(instance, outcome.solution)
    assert outcome.solution.value == best_value
    assert (outcome.solution_status, outcome.stop_reason) == (
        SolutionStatus.OPTIMAL,
        StopReason.PROVEN,
    )
    assert outcome.cost == outcome.lower_bound == outcome.solution.cost
    for report in solve.reports:
        assert report.lower_bound is None or report.lower_bound <= outcome.cost
        assert report.cost is None or report.cost >= outcome.cost


@pytest.mark.parametrize("kind", KINDS)
def test_small_knapsacks_equal_dynamic_programming(kind: Kind) -> None:
    for seed in range(150):
        instance = random_knapsack(kind, num_items=seed % 25, largest=40, seed=seed)
        assert_optimal(instance, best_value_by_dynamic_programming(instance))


@pytest.mark.parametrize("kind", KINDS)
def test_knapsacks_of_several_cores_equal_dynamic_programming(kind: Kind) -> None:
    for seed in range(12):
        num_items = 65 + 40 * seed
        instance = random_knapsack(kind, num_items=num_items, largest=500, seed=seed)
        best_value = best_value_by_dynamic_programming(instance)
        assert_optimal(instance, best_value, threads=1 + seed % 2)


def test_numbers_up_to_the_limit_equal_enumeration() -> None:
    for seed in range(15):
        largest = 2**53 // 12
        instance = random_knapsack("uncorrelated", num_items=10, largest=largest, seed=seed)
        assert_optimal(instance, best_value_by_enumeration(instance))


@pytest.mark.parametrize(
    ("items", "capacity", "taken"),
    [
        ([], 0, []),
        ([], 10, []),
        ([(5, 1)], 0, []),
        ([(5, 0)], 0, [0]),
        ([(5, 11), (9, 12)], 10, []),
        ([(0, 1), (0, 0)], 10, []),
        ([(1, 2), (3, 4), (5, 6)], 12, [0, 1, 2]),
        # greedy by value per weight takes the first and wastes the room
        ([(2, 1), (100, 100)], 100, [1]),
    ],
)
def test_plain_cases(items: list[tuple[int, int]], capacity: int, taken: list[int]) -> None:
    outcome = Solve().run(knapsack(items, capacity))

    assert outcome.solution is not None
    assert outcome.solution.items == taken
    assert outcome.solution_status is SolutionStatus.OPTIMAL


def test_cost_is_the_value_left_behind() -> None:
    outcome = Solve().run(knapsack([(60, 10), (100, 20), (120, 30)], capacity=50))

    assert outcome.solution == KnapsackSolution(items=[1, 2], value=220, weight=50, cost=60)
    assert (outcome.cost, outcome.lower_bound, outcome.gap) == (60, 60, 0.0)


def test_a_time_limit_is_kept_and_the_bound_stays_honest() -> None:
    instance = unprovable_knapsack()

    with promised(1.0, after_s=2.0):
        outcome = Solve().run(instance, timeout=2.0)

    assert (outcome.solution_status, outcome.stop_reason) == (
        SolutionStatus.FEASIBLE,
        StopReason.TIME_LIMIT,
    )
    assert outcome.solution is not None
    KnapsackSolver().check(instance, outcome.solution)
    assert outcome.gap is not None
    assert 0 < outcome.gap < 0.001


def test_a_stopped_solve_returns_its_best_within_a_second() -> None:
    solve = Solve(stop_at_first=True)

    with promised(1.5):
        outcome = solve.run(hard_knapsack())

    assert outcome.stop_reason is StopReason.CANCELLED
    assert outcome.solution is not None


def test_reports_only_get_better_and_end_in_the_outcome() -> None:
    solve = Solve()
    outcome = solve.run(random_knapsack("strongly", num_items=300, largest=1000, seed=1))

    costs = [report.cost for report in solve.reports if report.cost is not None]
    bounds = [report.lower_bound for report in solve.reports if report.lower_bound is not None]
    assert costs == sorted(costs, reverse=True)
    assert bounds == sorted(bounds)
    assert (costs[-1], bounds[-1]) == (outcome.cost, outcome.lower_bound)
    assert solve.reports[0].solution is not None


def test_a_start_is_never_lost() -> None:
    # given the optimum of a hard instance as the start, and no time to find it again
    instance = random_knapsack("strongly", num_items=400, largest=10_000, seed=3)
    best = Solve().run(instance).solution
    assert best is not None

    outcome = Solve().run(instance, start=best, timeout=0.001)

    assert outcome.solution is not None
    assert outcome.solution.cost <= best.cost


def test_the_same_seed_gives_the_same_selection() -> None:
    instance = random_knapsack("subset_sum", num_items=50, largest=1000, seed=2)
    first, again = Solve().run(instance, seed=7), Solve().run(instance, seed=7)
    assert first.solution == again.solution


def test_importing_the_solver_is_cheap() -> None:
    code = (
        "import sys, optimized_tsp.solvers.knapsack;"
        "sys.exit(','.join(m for m in ('ortools', 'numpy', 'pandas') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

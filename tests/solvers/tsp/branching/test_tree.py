"""Branch and cut: proofs of optimal tours, by one or more threads."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.branching import TreeResult, prove
from optimized_tsp.solvers.tsp.relaxation import RootRelaxation, SymmetricProblem
from optimized_tsp.solvers.tsp.tours.construction import nearest_neighbour_tour
from tests.promises import promised
from tests.solvers.tsp.relaxation.problems import (
    KINDS,
    Listening,
    points_matrix,
    random_matrix,
    random_points,
    random_problem,
    some_tour,
)


def solve(
    problem: SymmetricProblem, tour: IntArray | None, *, threads: int = 1, seed: int = 0
) -> tuple[Listening, RootRelaxation, TreeResult | None]:
    """The relaxation, then the tree if something is left to prove."""
    listening = Listening(problem, tour)
    relaxation = RootRelaxation(problem, tour, listening.listener, seed=seed)
    relaxation.run()
    if listening.proven or relaxation.infeasible:
        return listening, relaxation, None
    result = prove(relaxation, listening.listener, threads=threads, seed=seed)
    return listening, relaxation, result


def unrelaxed(problem: SymmetricProblem, tour: IntArray | None) -> tuple[Listening, RootRelaxation]:
    """A relaxation stopped at its first bound, so that the tree has most of the work."""
    listening = Listening(problem, tour)
    listener = replace(listening.listener, over=lambda: len(listening.bounds) > 0)
    relaxation = RootRelaxation(problem, tour, listener)
    relaxation.run()
    return listening, relaxation


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_small_problems_are_decided_exactly(kind: str, seed: int) -> None:
    problem, optimum = random_problem(kind, 4 + seed % 6, seed)
    tour = None if seed % 3 == 0 else some_tour(problem, seed, pairs=kind == "asymmetric")

    listening, relaxation, result = solve(problem, tour, threads=1 + seed % 2, seed=seed)

    assert listening.cost == optimum
    if optimum is None:
        assert relaxation.infeasible or (result is not None and result.exhausted)
    else:
        assert listening.bound == optimum


@pytest.mark.parametrize("kind", ["uniform", "equal costs", "huge costs", "clustered"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_tree_alone_proves_what_the_relaxation_left_open(kind: str, threads: int) -> None:
    problem, optimum = random_problem(kind, 9, 17)
    listening, relaxation = unrelaxed(problem, some_tour(problem, 17))

    result = prove(relaxation, listening.listener, threads=threads)

    assert listening.cost == listening.bound == optimum
    assert result is not None
    assert result.unresolved == 0


def harder(seed: int) -> SymmetricProblem:
    """A problem whose relaxation leaves a gap."""
    points = random_points(45, seed) // np.array([1, 8])
    return SymmetricProblem(points_matrix(points))


def test_threads_and_seeds_agree_on_the_optimum() -> None:
    problem = harder(3)
    tour = some_tour(problem, 3)

    costs = {
        solve(problem, tour, threads=threads, seed=seed)[0].bound
        for threads, seed in ((1, 0), (1, 1), (2, 0), (3, 1))
    }

    assert len(costs) == 1
    assert None not in costs


@pytest.mark.parametrize("after", [0, 1, 10**9])
def test_a_thread_that_is_spare_later_joins_then(after: int) -> None:
    problem = harder(4)
    listening, relaxation = unrelaxed(problem, some_tour(problem, 4))
    asked = 0

    def spare() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    result = prove(relaxation, listening.listener, threads=2, spare=spare)

    assert result is not None
    assert result.unresolved == 0
    assert listening.bound == listening.cost


def test_one_thread_and_one_seed_do_the_same_again() -> None:
    problem = SymmetricProblem(random_matrix("uniform", 40, 8))

    def outcome() -> tuple[list[int], TreeResult | None]:
        listening, relaxation = unrelaxed(problem, some_tour(problem, 8))
        return listening.bounds, prove(relaxation, listening.listener, seed=4)

    assert outcome() == outcome()


def test_a_better_tour_from_elsewhere_ends_the_search() -> None:
    problem = harder(5)
    best = solve(problem, some_tour(problem, 5))[0].cost
    listening, relaxation = unrelaxed(problem, some_tour(problem, 5))
    questions = 0

    def upper_bound() -> int | None:
        # Found by somebody else while the tree is at work.
        nonlocal questions
        questions += 1
        return listening.cost if questions < 5 else best

    def ignore(order: IntArray) -> None:
        """No tour of the tree counts."""

    listener = replace(listening.listener, upper_bound=upper_bound, on_tour=ignore)
    result = prove(relaxation, listener)

    assert result is not None
    assert result.exhausted
    assert listening.bound == best


def test_bounds_of_the_tree_rise_to_the_optimum_and_not_beyond() -> None:
    problem = harder(1)
    listening, relaxation = unrelaxed(problem, some_tour(problem, 1))

    result = prove(relaxation, listening.listener, threads=2)

    tree_bounds = listening.bounds
    assert result is not None
    assert tree_bounds == sorted(tree_bounds)
    assert tree_bounds[-1] == listening.cost


@pytest.mark.parametrize("threads", [1, 2])
def test_it_stops_within_a_second(threads: int) -> None:
    problem = SymmetricProblem(points_matrix(random_points(400, 2)))
    listening, relaxation = unrelaxed(problem, nearest_neighbour_tour(problem.costs))
    stop_at = time.monotonic() + 1.0
    listener = replace(listening.listener, over=lambda: time.monotonic() > stop_at)

    with promised(1.0, after_s=1.0):
        result = prove(relaxation, listener, threads=threads)

    assert result is None or not result.exhausted


def test_an_error_of_a_worker_is_raised() -> None:
    problem = harder(2)
    listening, relaxation = unrelaxed(problem, some_tour(problem, 2))

    def broken(order: IntArray) -> None:
        raise RuntimeError(f"nobody takes tours from {order[0]}")

    with pytest.raises(RuntimeError, match="nobody takes tours"):
        prove(relaxation, replace(listening.listener, on_tour=broken), threads=2)

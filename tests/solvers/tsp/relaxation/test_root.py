"""The relaxation of the whole problem: bounds that rise and hold, and when it stops."""

from __future__ import annotations

import time
from itertools import permutations

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE
from optimized_tsp.solvers.tsp.relaxation import RootRelaxation, SymmetricProblem
from tests.crowding import crowding
from tests.solvers.tsp.relaxation.problems import (
    KINDS,
    Listening,
    points_matrix,
    random_points,
    random_problem,
    some_tour,
)

STOP_S = 1.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_bounds_rise_and_never_exceed_the_optimum(kind: str, seed: int) -> None:
    problem, optimum = random_problem(kind, 9, seed)
    tour = some_tour(problem, seed, pairs=kind == "asymmetric") if optimum is not None else None
    listening = Listening(problem, tour)
    relaxation = RootRelaxation(problem, tour, listening.listener, seed=seed)

    relaxation.run()

    assert listening.bounds == sorted(set(listening.bounds))
    assert relaxation.lower_bound == listening.bound
    if optimum is None:
        assert relaxation.infeasible or listening.cost is None
    else:
        assert not relaxation.infeasible
        assert relaxation.lower_bound is not None
        assert relaxation.lower_bound <= optimum


@pytest.mark.parametrize("seed", range(3))
def test_the_core_holds_every_cheaper_tour(seed: int) -> None:
    problem, optimum = random_problem("uniform", 8, seed)
    tour = some_tour(problem, seed)
    listening = Listening(problem, tour)
    relaxation = RootRelaxation(problem, tour, listening.listener)
    relaxation.run()
    assert optimum is not None

    core = relaxation.core(optimum + 1)

    assert core is not None
    lower, upper = core.bounds(optimum + 1)
    orders = np.array([(0, *rest) for rest in permutations(range(1, 8))])
    costs = problem.costs[orders, np.roll(orders, -1, axis=1)].sum(axis=1)
    assert costs.min() == optimum
    for order in orders[costs == optimum]:
        places = np.flatnonzero(np.isin(core.edges.keys, problem.tour_keys(order)))
        assert len(places) == 8
        assert upper[places].all()
        assert set(np.flatnonzero(lower)) <= set(places)


def test_the_gap_of_a_good_tour_is_small() -> None:
    # Points on a circle: the tour around it is optimal, and subtour cuts prove that.
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    points = np.stack([5000 * np.cos(angles), 5000 * np.sin(angles)], axis=1).astype(np.int64)
    problem = SymmetricProblem(points_matrix(points))
    listening = Listening(problem, np.arange(80))

    RootRelaxation(problem, np.arange(80), listening.listener).run()

    assert listening.proven


def test_the_same_seed_does_the_same() -> None:
    problem = SymmetricProblem(points_matrix(random_points(60, 4)))
    tour = some_tour(problem, 4)

    def outcome(threads: int) -> tuple[list[int], list[bytes]]:
        listening = Listening(problem, tour)
        relaxation = RootRelaxation(
            problem, tour, listening.listener, seed=5, threads=lambda: threads
        )
        relaxation.run()
        return listening.bounds, [cut.key for cut in relaxation.cuts]

    assert outcome(1) == outcome(1) == outcome(2)


def test_a_node_with_one_edge_rules_tours_out() -> None:
    costs = np.full((5, 5), 3)
    costs[4, 1:] = costs[1:, 4] = NO_EDGE
    problem = SymmetricProblem(costs)
    relaxation = RootRelaxation(problem, None, Listening(problem, None).listener)

    relaxation.run()

    assert relaxation.infeasible


def test_two_parts_joined_at_one_node_rule_tours_out() -> None:
    costs = np.full((7, 7), 1)
    costs[:3, 4:] = costs[4:, :3] = NO_EDGE
    problem = SymmetricProblem(costs)
    relaxation = RootRelaxation(problem, None, Listening(problem, None).listener)

    relaxation.run()

    assert relaxation.infeasible


@pytest.mark.parametrize("num_nodes", [500, 2000])
def test_it_stops_within_a_second(num_nodes: int) -> None:
    problem = SymmetricProblem(points_matrix(random_points(num_nodes, 1)))
    tour = some_tour(problem, 1)
    started = time.monotonic()
    asked: list[float] = []

    def stopped() -> bool:
        asked.append(time.monotonic())
        return time.monotonic() - started > STOP_S

    listening = Listening(problem, tour, stopped)
    relaxation = RootRelaxation(problem, tour, listening.listener)

    relaxation.run()

    late = time.monotonic() - started - STOP_S
    between = np.diff(asked).max()
    assert late < 1.0 * crowding(started), (
        f"{late:.2f} s late, {between:.2f} s between two questions"
    )
    assert late > 0, "it ended by itself, so that nothing was stopped"
    # What was found until then holds, and was told.
    assert not listening.proven
    assert not relaxation.infeasible
    assert listening.bounds == sorted(set(listening.bounds))
    assert relaxation.lower_bound == listening.bound

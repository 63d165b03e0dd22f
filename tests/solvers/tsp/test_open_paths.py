"""Starts, ends and open paths: the best of all orders, proven, checked, and none other accepted."""

from __future__ import annotations

import threading
from itertools import pairwise, permutations
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.contract import (
    Incumbent,
    InfeasibilityCertificate,
    InvalidInstance,
    InvalidSolution,
    Outcome,
    SolutionStatus,
)
from optimized_tsp.solvers.tsp import Edge, TspInstance, TspParameters, TspSolution, TspSolver
from optimized_tsp.solvers.tsp.graph import ArcGraph, build_graph, tour_cost
from optimized_tsp.solvers.tsp.reduction import Reduction, reduce_instance
from tests.solvers.tsp.open_paths import (
    allowed_orders,
    random_file,
    random_with_ends,
)

Seen = list[Incumbent[TspSolution]]
SOLVER = TspSolver()


def solve(instance: TspInstance, *, start: list[int] | None = None) -> Outcome[TspSolution]:
    """The outcome, once everything reported on the way was checked."""
    seen: Seen = []
    begin = None
    if start is not None:
        cost = allowed_orders(instance)[tuple(start)]
        begin = TspSolution(node_order=start, cost=cost)
    SOLVER.validate(instance)
    outcome = SOLVER.solve(
        instance,
        TspParameters(timeout=30.0, threads=1),
        seed=1,
        stop=threading.Event(),
        on_incumbent=seen.append,
        start=begin,
    )
    for report in seen:
        if report.solution is not None:
            SOLVER.check(instance, report.solution)
        if report.lower_bound is not None and outcome.cost is not None:
            assert report.lower_bound <= outcome.cost
    return outcome


def assert_best_of(instance: TspInstance, orders: dict[tuple[int, ...], int]) -> None:
    """Given every order that is allowed, the solver proves one of the cheapest, or that none is."""
    outcome = solve(instance)
    if not orders:
        assert outcome.solution_status is SolutionStatus.INFEASIBLE
        assert outcome.infeasibility is not None
        return
    assert SOLVER.diagnose(instance).infeasibility is None
    assert outcome.solution_status is SolutionStatus.OPTIMAL
    assert outcome.solution is not None
    assert outcome.cost == outcome.lower_bound == min(orders.values())
    assert orders[tuple(outcome.solution.node_order)] == outcome.cost


@pytest.mark.parametrize("seed", range(60))
def test_the_best_order_of_all_is_proven(seed: int) -> None:
    instance = random_with_ends(Random(seed), range(1, 7))
    assert_best_of(instance, allowed_orders(instance))


@pytest.mark.parametrize("seed", range(40))
def test_files_with_fixed_edges_too(seed: int) -> None:
    instance, costs, fixed = random_file(Random(seed), range(1, 7))
    assert_best_of(instance, allowed_orders(instance, costs, fixed))


@pytest.mark.parametrize("seed", range(3))
def test_eight_nodes(seed: int) -> None:
    instance = random_with_ends(Random(1_000 + seed), range(8, 9))
    assert_best_of(instance, allowed_orders(instance))


def drawn_order(instance: TspInstance, random: Random) -> list[int]:
    return random.sample(range(instance.node_count), instance.node_count)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6))
def test_the_check_takes_what_is_allowed_and_nothing_else(seed: int) -> None:
    random = Random(seed)
    instance = random_with_ends(random, range(1, 6))
    allowed = allowed_orders(instance)
    for _ in range(8):
        order = drawn_order(instance, random)
        cost = allowed.get(tuple(order))
        if cost is None:
            with pytest.raises(InvalidSolution):
                SOLVER.check(instance, TspSolution(node_order=order, cost=random.randint(0, 50)))
            continue
        SOLVER.check(instance, TspSolution(node_order=order, cost=cost))
        with pytest.raises(InvalidSolution, match=f"costs {cost}, not"):
            SOLVER.check(instance, TspSolution(node_order=order, cost=cost + 1))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_the_reduced_graph_has_the_same_tours_at_the_same_costs(
    seed: int,
    from_file: bool,  # noqa: FBT001
) -> None:
    random = Random(seed)
    if from_file:
        instance, costs, fixed = random_file(random, range(1, 5))
        wanted = allowed_orders(instance, costs, fixed)
    else:
        instance = random_with_ends(random, range(1, 5))
        wanted = allowed_orders(instance)
    reduction = reduce_instance(instance, build_graph(instance))
    if isinstance(reduction, InfeasibilityCertificate):
        assert wanted == {}
        return
    assert isinstance(reduction, Reduction)
    found = {
        tuple(reduction.expand(order)): cost + reduction.offset
        for order, cost in round_trips(reduction)
    }
    # Of a path that may be walked either way one direction is enough.
    assert set(found) | {order[::-1] for order in found} >= set(wanted)
    assert all(wanted[order] == cost for order, cost in found.items())
    for order, cost in wanted.items():
        shortened = reduction.shorten(order)
        assert tour_cost(reduction.graph, np.array(shortened)) == cost - reduction.offset
        assert tuple(reduction.expand(shortened)) in {order, order[::-1]}


def round_trips(reduction: Reduction) -> list[tuple[list[int], int]]:
    found = []
    for rest in permutations(range(1, reduction.graph.num_nodes)):
        cost = tour_cost(reduction.graph, np.array([0, *rest]))
        if cost is not None:
            found.append(([0, *rest], cost))
    return found


LINE: dict[str, Any] = {"coordinates": [[0, 0], [30, 0], [10, 0], [20, 0]], "metric": "EUC_2D"}


@pytest.mark.parametrize(
    ("ends", "order", "cost"),
    [
        ({}, [0, 2, 3, 1], 60),
        ({"start": 2}, [2, 3, 1, 0], 60),
        ({"round_trip": False, "start": 0}, [0, 2, 3, 1], 30),
        ({"round_trip": False, "start": 0, "end": 1}, [0, 2, 3, 1], 30),
        ({"round_trip": False, "start": 1, "end": 0}, [1, 3, 2, 0], 30),
        ({"round_trip": False, "end": 0}, [1, 3, 2, 0], 30),
        ({"round_trip": False, "start": 2}, [2, 0, 3, 1], 40),
        ({"round_trip": False, "start": 0, "end": 2}, [0, 3, 1, 2], 50),
    ],
)
def test_four_points_on_a_line(ends: dict[str, Any], order: list[int], cost: int) -> None:
    instance = TspInstance(**LINE, **ends)
    outcome = solve(instance)
    assert (outcome.cost, outcome.lower_bound) == (cost, cost)
    assert outcome.solution is not None
    if ends.get("round_trip", True):
        assert outcome.solution.node_order[0] == order[0]
    else:
        SOLVER.check(instance, TspSolution(node_order=order, cost=cost))


def test_a_free_path_may_begin_anywhere() -> None:
    outcome = solve(TspInstance(**LINE, round_trip=False))
    assert outcome.cost == 30
    assert outcome.solution is not None
    assert outcome.solution.node_order in ([0, 2, 3, 1], [1, 3, 2, 0])


def test_directions_matter() -> None:
    one_way = [[None, 1, 9], [9, None, 1], [9, 9, None]]
    assert solve(TspInstance(matrix=one_way, round_trip=False)).cost == 2
    assert solve(TspInstance(matrix=one_way, round_trip=False, start=2)).cost == 10
    assert solve(TspInstance(matrix=one_way, round_trip=False, start=2, end=0)).cost == 18


@pytest.mark.parametrize("start", [None, 0])
@pytest.mark.parametrize("round_trip", [True, False])
def test_a_single_node_is_where_it_begins_and_ends(start: int | None, round_trip: bool) -> None:  # noqa: FBT001
    end = None if round_trip else start
    outcome = solve(TspInstance(matrix=[[7]], start=start, end=end, round_trip=round_trip))
    assert outcome.solution == TspSolution(node_order=[0], cost=0)
    assert outcome.solution_status is SolutionStatus.OPTIMAL


def test_a_path_is_begun_from_where_another_run_left_it() -> None:
    instance = TspInstance(**LINE, round_trip=False, start=2)
    assert solve(instance, start=[2, 1, 3, 0]).cost == 40


@pytest.mark.parametrize(
    ("ends", "pointer", "code", "words"),
    [
        ({"start": 4}, "/start", "node_out_of_range", "nodes are 0 to 3"),
        ({"end": 4, "round_trip": False}, "/end", "node_out_of_range", "Node 4 does not exist"),
        ({"end": 2}, "/end", "end_of_round_trip", "round_trip: false"),
        ({"start": 2, "end": 2}, "/end", "end_of_round_trip", "leave end out"),
        (
            {"start": 2, "end": 2, "round_trip": False},
            "/end",
            "start_is_end",
            "cannot end where it starts",
        ),
        ({"names": ["a"]}, "/names", "wrong_count", "1 names for 4 nodes"),
    ],
)
def test_ends_that_make_no_sense(ends: dict[str, Any], pointer: str, code: str, words: str) -> None:
    with pytest.raises(InvalidInstance) as refused:
        SOLVER.validate(TspInstance(**LINE, **ends))
    (problem,) = refused.value.problems
    assert (problem.pointer, problem.code) == (pointer, code)
    assert words in problem.message


def large_line(*, symmetric: bool, **ends: Any) -> tuple[TspInstance, list[int]]:
    """A sparse graph of nothing but one path through many nodes, and the path."""
    num_nodes = 1_600
    order = Random(1).sample(range(num_nodes), num_nodes)
    order = [node for node in order if node not in ends.values()]
    order = [*([ends["start"]] if "start" in ends else []), *order]
    order = [*order, *([ends["end"]] if "end" in ends else [])]
    edges = [Edge(a, b, 2) for a, b in pairwise(order)]
    edges += [Edge(edge.target, edge.source, 2) for edge in edges if symmetric]
    return TspInstance(num_nodes=num_nodes, edges=edges, round_trip=False, **ends), order


@pytest.mark.parametrize("ends", [{}, {"start": 3}, {"end": 3}, {"start": 3, "end": 5}])
@pytest.mark.parametrize("symmetric", [True, False])
def test_large_sparse_graphs_are_reduced_as_arcs(
    ends: dict[str, Any],
    symmetric: bool,  # noqa: FBT001
) -> None:
    instance, order = large_line(symmetric=symmetric, **ends)
    reduction = reduce_instance(instance, build_graph(instance))
    assert isinstance(reduction, Reduction)
    assert isinstance(reduction.graph, ArcGraph)
    shortened = np.array(reduction.shorten(order))
    assert tour_cost(reduction.graph, shortened) == 2 * (len(order) - 1)
    assert reduction.expand(shortened.tolist()) in (order, order[::-1])


@pytest.mark.parametrize("symmetric", [True, False])
def test_large_sparse_graphs_are_solved(symmetric: bool) -> None:  # noqa: FBT001
    instance, order = large_line(symmetric=symmetric, start=3)
    outcome = solve(instance)
    assert outcome.solution is not None
    assert outcome.solution.node_order == order
    assert outcome.cost == outcome.lower_bound

"""Paths from round trips, for points without a matrix: right ends and costs, valid bounds."""

from __future__ import annotations

import threading
from itertools import permutations
from random import Random

import numpy as np
import pytest

from optimized_tsp.solvers.contract import Incumbent, Outcome, SolutionStatus, StopReason
from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolution, TspSolver
from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT, PointGraph, build_graph, tour_cost
from optimized_tsp.solvers.tsp.open_ends import OpenEnds, open_ends_of
from optimized_tsp.solvers.tsp.opened_tours import OpenedTours, mended
from tests.promises import promised
from tests.solvers.tsp.open_paths import allowed_orders

ENDS = [(None, None), (0, None), (None, 1), (2, 0)]
METRICS = ["EUC_2D", "MAN_2D", "HAVERSINE", "GEO", "ATT"]


def points(num_nodes: int, seed: int, *, metric: str = "EUC_2D", **ends: object) -> TspInstance:
    random = Random(seed)
    coordinates = [[random.uniform(0, 60), random.uniform(0, 60)] for _ in range(num_nodes)]
    return TspInstance.model_validate({"coordinates": coordinates, "metric": metric, **ends})


def graph_of(instance: TspInstance) -> PointGraph:
    graph = build_graph(instance)
    assert isinstance(graph, PointGraph)
    return graph


def ends_of(instance: TspInstance) -> OpenEnds:
    ends = open_ends_of(instance)
    assert ends is not None
    return ends


@pytest.mark.parametrize(("start", "end"), ENDS)
@pytest.mark.parametrize("num_nodes", [3, 4, 30])
def test_mended_paths_begin_and_end_where_they_must(
    num_nodes: int, start: int | None, end: int | None
) -> None:
    for seed in range(10):
        instance = points(num_nodes, seed, start=start, end=end, round_trip=False)
        tour = np.array(Random(seed).sample(range(num_nodes), num_nodes))
        path = mended(graph_of(instance), ends_of(instance), tour, seconds=1.0).tolist()
        assert sorted(path) == list(range(num_nodes))
        assert ends_of(instance).fit(path)


def test_mending_is_worth_it() -> None:
    instance = points(200, 1, start=0, end=1, round_trip=False)
    graph = graph_of(instance)
    tour = np.arange(200)
    unmended = mended(graph, ends_of(instance), tour, seconds=0.0)
    path = mended(graph, ends_of(instance), tour, seconds=5.0)

    def cost(order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
        return int(graph.between(order[:-1], order[1:]).sum())

    assert cost(path) < 0.5 * cost(unmended)


@pytest.mark.parametrize(("start", "end"), ENDS)
@pytest.mark.parametrize("metric", METRICS)
def test_bounds_of_round_trips_bound_paths(metric: str, start: int | None, end: int | None) -> None:
    instance = points(6, 3, metric=metric, start=start, end=end, round_trip=False)
    best = min(allowed_orders(instance).values())
    graph = graph_of(instance)
    trips = {order: tour_cost(graph, np.array(order)) or 0 for order in permutations(range(6))}
    shortest = min(trips, key=lambda order: trips[order])
    solution = TspSolution(node_order=list(shortest), cost=trips[shortest])
    opened = OpenedTours(graph, ends_of(instance))
    seen: list[Incumbent[TspSolution]] = []
    report = opened.reporting_to(seen.append)
    report(Incumbent(solution, solution.cost, None))
    report(Incumbent(None, solution.cost, solution.cost))
    outcome = opened.outcome(
        Outcome(SolutionStatus.OPTIMAL, StopReason.PROVEN, solution, solution.cost, solution.cost)
    )

    assert outcome.solution is not None
    TspSolver().check(instance, outcome.solution)
    assert outcome.lower_bound is not None
    assert seen[-1].lower_bound == outcome.lower_bound <= best <= outcome.solution.cost
    proven = outcome.lower_bound == outcome.cost
    assert (outcome.solution_status is SolutionStatus.OPTIMAL) == proven


@pytest.mark.parametrize(("start", "end"), ENDS)
def test_a_large_path_comes_in_time(start: int | None, end: int | None) -> None:
    instance = points(DENSE_LIMIT + 1, 5, start=start, end=end, round_trip=False)
    seen: list[Incumbent[TspSolution]] = []
    with promised(1.5, after_s=1.0):
        outcome = TspSolver().solve(
            instance,
            TspParameters(timeout=1.0, threads=1),
            seed=1,
            stop=threading.Event(),
            on_incumbent=seen.append,
            start=None,
        )

    assert outcome.solution is not None
    TspSolver().check(instance, outcome.solution)
    costs = [report.cost or 0 for report in seen if report.solution is not None]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == outcome.cost


def test_no_answer_is_worse_than_the_path_it_began_with() -> None:
    instance = points(800, 6, start=0, end=1, round_trip=False)
    solver = TspSolver()

    def solve(seconds: float, start: TspSolution | None) -> TspSolution:
        outcome = solver.solve(
            instance,
            TspParameters(timeout=seconds, threads=1),
            seed=1,
            stop=threading.Event(),
            on_incumbent=lambda _: None,
            start=start,
        )
        assert outcome.solution is not None
        return outcome.solution

    good = solve(1.0, None)
    assert solve(0.001, good).cost <= good.cost

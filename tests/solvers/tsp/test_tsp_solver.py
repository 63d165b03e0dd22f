"""Whole solves: odd instances, proofs, limits, and the bundled example."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from optimized_tsp.solvers.contract import (
    Incumbent,
    InvalidInstance,
    Outcome,
    SolutionStatus,
    StopReason,
)
from optimized_tsp.solvers.tsp import Edge, TspInstance, TspParameters, TspSolution, TspSolver
from tests.promises import promised

Reports = list[Incumbent[TspSolution]]


def solve(
    instance: TspInstance,
    *,
    timeout: float = 60.0,
    stop: threading.Event | None = None,
    reports: Reports | None = None,
) -> Outcome[TspSolution]:
    """Solve with two threads; every answer is checked."""
    outcome = TspSolver().solve(
        instance,
        TspParameters(timeout=timeout, threads=2),
        seed=1,
        stop=stop or threading.Event(),
        on_incumbent=(reports if reports is not None else []).append,
        start=None,
    )
    if outcome.solution is not None:
        TspSolver().check(instance, outcome.solution)
        assert outcome.cost == outcome.solution.cost
    return outcome


def graph(num_nodes: int, arcs: list[tuple[int, int]], *, both_ways: bool = True) -> TspInstance:
    """Edges of cost 1."""
    reversed_arcs = [(b, a) for a, b in arcs] if both_ways else []
    return TspInstance(num_nodes=num_nodes, edges=[Edge(a, b, 1) for a, b in arcs + reversed_arcs])


def points(count: int, seed: int = 1) -> TspInstance:
    spread = np.random.default_rng(seed).uniform(0, 1e6, (count, 2))
    return TspInstance(coordinates=spread.tolist(), metric="EUC_2D")


def petersen() -> TspInstance:
    """Three edges at every node, no tour, and no simple reason why."""
    outer = [(i, (i + 1) % 5) for i in range(5)]
    inner = [(5 + i, 5 + (i + 2) % 5) for i in range(5)]
    return graph(10, outer + inner + [(i, i + 5) for i in range(5)])


def hidden_cycle(count: int, extra: int, seed: int) -> TspInstance:
    """A directed cycle among arcs that lead nowhere in particular."""
    random = np.random.default_rng(seed)
    order = random.permutation(count)
    arcs = dict.fromkeys(zip(order.tolist(), np.roll(order, -1).tolist(), strict=True), 700)
    for a, b in random.integers(0, count, (extra, 2)).tolist():
        if a != b:
            arcs[a, b] = int(random.integers(1, 1_000))
    return TspInstance(num_nodes=count, edges=[Edge(a, b, cost) for (a, b), cost in arcs.items()])


@pytest.mark.parametrize(
    ("fields", "order", "cost"),
    [
        ({"num_nodes": 1, "edges": []}, [0], 0),
        ({"matrix": [[None]]}, [0], 0),
        ({"coordinates": [[1.0, 2.0]], "metric": "GEO"}, [0], 0),
        ({"matrix": [[0, 3], [4, 0]]}, [0, 1], 7),
        ({"coordinates": [[0.0, 0.0], [0.0, 5.0]], "metric": "MAX_2D"}, [0, 1], 10),
        ({"matrix": [[0, 9, 1], [1, 0, 9], [9, 1, 0]]}, [0, 2, 1], 3),
        ({"matrix": [[0, 0], [0, 0]]}, [0, 1], 0),
    ],
)
def test_one_two_and_three_nodes(fields: dict[str, Any], order: list[int], cost: int) -> None:
    outcome = solve(TspInstance.model_validate(fields))
    assert outcome.solution == TspSolution(node_order=order, cost=cost)
    assert (outcome.solution_status, outcome.lower_bound) == (SolutionStatus.OPTIMAL, cost)


@pytest.mark.parametrize(
    ("instance", "kind"),
    [
        (graph(2, [(0, 1)], both_ways=False), "no_outgoing_edge"),
        (graph(3, [(0, 1), (1, 2)]), "cut_node"),
        (graph(5, [(a, b) for a in (0, 1) for b in (2, 3, 4)]), "no_cycle_cover"),
        (petersen(), "no_tour"),
        (TspInstance(matrix=[[0, 1, None], [1, 0, None], [None, None, 0]]), "no_outgoing_edge"),
    ],
)
def test_instances_without_a_tour_say_why(instance: TspInstance, kind: str) -> None:
    outcome = solve(instance)
    assert outcome.solution_status is SolutionStatus.INFEASIBLE
    assert outcome.infeasibility is not None
    assert outcome.infeasibility.kind == kind


def test_a_node_without_arcs_is_never_dropped() -> None:
    """CP-SAT's circuit would leave node 3 out without a word."""
    instance = graph(4, [(0, 1), (1, 2), (2, 0)])
    outcome = solve(instance)
    assert outcome.solution_status is SolutionStatus.INFEASIBLE
    assert outcome.infeasibility is not None
    assert outcome.infeasibility.nodes == [3]


def test_costs_up_to_the_exact_limit_are_proven_exactly() -> None:
    largest = (2**53 - 1) // 30
    less = np.random.default_rng(6).integers(0, 1_000, (30, 30))
    outcome = solve(TspInstance(matrix=(largest - less).tolist()))
    assert outcome.solution_status is SolutionStatus.OPTIMAL
    assert outcome.cost == outcome.lower_bound


@pytest.mark.parametrize("seed", range(3))
def test_asymmetric_instances_are_proven(seed: int) -> None:
    matrix = np.random.default_rng(seed).integers(0, 10**6, (60, 60)).tolist()
    assert solve(TspInstance(matrix=matrix)).solution_status is SolutionStatus.OPTIMAL


@pytest.mark.parametrize("seed", range(3))
def test_a_tour_hidden_in_a_sparse_graph_is_found(seed: int) -> None:
    outcome = solve(hidden_cycle(120, 240, seed))
    assert outcome.solution_status is SolutionStatus.OPTIMAL


def test_sixty_points_are_proven_and_reported_on_the_way() -> None:
    reports: Reports = []
    outcome = solve(points(60), reports=reports)
    assert outcome.solution_status is SolutionStatus.OPTIMAL
    assert outcome.statistics is not None
    assert outcome.statistics["root_bound"] <= outcome.cost <= outcome.statistics["first_tour_cost"]
    assert sum(report.solution is None for report in reports) >= 2


def test_the_bundled_example_is_proven_while_people_watch() -> None:
    example = TspSolver().examples()[0]
    instance = TspInstance.model_validate(example.submission["tsp_instance"])
    solve(instance)  # so that OR-Tools is imported
    reports: Reports = []
    with promised(5.0):  # 0.5 s when quiet
        outcome = solve(instance, reports=reports)

    assert outcome.solution_status is SolutionStatus.OPTIMAL
    assert outcome.cost == 20_384_205
    assert sum(report.solution is not None for report in reports) >= 2
    assert sum(report.solution is None for report in reports) >= 3


@pytest.mark.parametrize("count", [1_000, 5_000, 20_000])
@pytest.mark.parametrize("timeout", [0.2, 2.0])
def test_time_limits_hold_and_a_tour_is_there(count: int, timeout: float) -> None:
    instance = points(count)
    with promised(1.0, after_s=timeout):
        outcome = solve(instance, timeout=timeout)

    assert (outcome.solution_status, outcome.stop_reason) == (
        SolutionStatus.FEASIBLE,
        StopReason.TIME_LIMIT,
    )


def test_time_limits_hold_for_a_million_edges() -> None:
    costs = np.random.default_rng(3).integers(1, 10_000, (1_000, 1_000)).tolist()
    edges = [Edge(a, b, costs[a][b]) for a in range(1_000) for b in range(1_000) if a != b]
    instance = TspInstance(num_nodes=1_000, edges=edges)
    with promised(1.0, after_s=4.0):
        outcome = solve(instance, timeout=4.0)

    assert outcome.solution is not None
    assert outcome.lower_bound is not None


@pytest.mark.parametrize(
    ("count", "delay"),
    # 300 nodes may be proven within three seconds, these 400 are not in five times as many.
    [(300, 0.3), (400, 3.0), (1_000, 0.3), (1_000, 3.0), (20_000, 0.3), (20_000, 3.0)],
)
def test_a_cancel_is_heard_in_every_phase(count: int, delay: float) -> None:
    instance, stop = points(count), threading.Event()
    timer = threading.Timer(delay, stop.set)
    timer.start()
    with promised(1.0, after_s=delay):
        outcome = solve(instance, stop=stop)
        timer.join()

    assert outcome.stop_reason is StopReason.CANCELLED
    assert outcome.solution is not None


def test_a_large_sparse_graph_is_tried_within_its_limit() -> None:
    instance = hidden_cycle(6_000, 30_000, 1)
    with promised(1.0, after_s=3.0):
        outcome = solve(instance, timeout=3.0)

    assert outcome.solution_status in {SolutionStatus.UNKNOWN, SolutionStatus.FEASIBLE}
    assert outcome.stop_reason is StopReason.TIME_LIMIT


def test_an_invalid_instance_is_refused_before_anything_else() -> None:
    with pytest.raises(InvalidInstance, match="self"):
        solve(TspInstance(num_nodes=2, edges=[Edge(1, 1, 5)]))


def test_a_ring_of_two_thousand_nodes_is_settled() -> None:
    """More nodes than are made a matrix at once, fewer than never are."""
    outcome = solve(graph(2_000, [(node, (node + 1) % 2_000) for node in range(2_000)]))
    assert outcome.solution_status is SolutionStatus.OPTIMAL
    assert outcome.cost == 2_000

"""The check refuses whatever is not a tour of exactly its cost, and every known trap."""

from __future__ import annotations

from random import Random

import pytest

from optimized_tsp.solvers.contract import InvalidSolution
from optimized_tsp.solvers.tsp import Edge, TspInstance, TspSolution, TspSolver
from tests.solvers.tsp.brute_force import costs_of
from tests.solvers.tsp.random_instances import random_instance

SQUARE = TspInstance(coordinates=[[0, 0], [0, 10], [10, 10], [10, 0]], metric="EUC_2D")
# Going 0 1 2 3 costs 4, and node 3 has no way to node 1.
SPARSE = TspInstance(
    num_nodes=4,
    edges=[
        Edge(2, 3, 1),
        Edge(0, 1, 7),
        Edge(0, 1, 1),
        Edge(1, 2, 1),
        Edge(3, 0, 1),
        Edge(0, 2, 1),
        Edge(2, 1, 1),
        Edge(1, 3, 1),
        Edge(0, 1, 3),
    ],
)


def check(instance: TspInstance, order: list[int], cost: int) -> None:
    TspSolver().check(instance, TspSolution(node_order=order, cost=cost))


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [0, 3, 2, 1]])
def test_a_tour_of_its_cost_passes(order: list[int]) -> None:
    check(SQUARE, order, 40)


def test_a_single_node_costs_nothing() -> None:
    check(TspInstance(num_nodes=1, edges=[]), [0], 0)
    check(TspInstance(matrix=[[5]]), [0], 0)
    check(TspInstance(coordinates=[[3, 4]], metric="GEO"), [0], 0)


@pytest.mark.parametrize(
    ("order", "cost", "message"),
    [
        ([0, 1, 2, 3], 39, "costs 40, not 39"),
        ([0, 2, 1, 3], 40, "costs 48, not 40"),
        ([0, 1, 2], 40, "has 3 nodes, the instance 4"),
        ([], 0, "has 0 nodes"),
        ([0, 1, 2, 3, 0], 40, "has 5 nodes"),
        ([0, 1, 1, 3], 40, "node 1 twice"),
        ([0, 1, 2, 4], 40, "no node 4"),
        ([0, 1, 2, -1], 40, "no node -1"),
        ([1, 2, 3, 0], 40, "starts at node 1"),
    ],
)
def test_what_is_no_tour_of_its_cost_is_refused(order: list[int], cost: int, message: str) -> None:
    with pytest.raises(InvalidSolution, match=message):
        check(SQUARE, order, cost)


def test_duplicate_edges_are_charged_once_and_at_the_cheapest() -> None:
    check(SPARSE, [0, 1, 2, 3], 4)
    for wrong in (6, 10, 12, 14):  # another duplicate, or several of them
        with pytest.raises(InvalidSolution, match=f"costs 4, not {wrong}"):
            check(SPARSE, [0, 1, 2, 3], wrong)


def test_an_edge_that_does_not_exist_is_not_used() -> None:
    with pytest.raises(InvalidSolution, match="no edge from node 3 to node 1"):
        check(SPARSE, [0, 2, 3, 1], 4)
    with pytest.raises(InvalidSolution, match="no edge from node 1 to node 0"):
        check(TspInstance(matrix=[[None, 1], [None, None]]), [0, 1], 1)


def test_arcs_in_the_order_of_their_declaration_are_no_tour() -> None:
    edges = [Edge(0, 2, 1), Edge(3, 0, 1), Edge(2, 1, 1), Edge(1, 3, 1)]
    instance = TspInstance(num_nodes=4, edges=edges)
    check(instance, [0, 2, 1, 3], 4)
    with pytest.raises(InvalidSolution):
        check(instance, [edge.source for edge in edges], 4)


def test_the_cost_is_the_sum_of_the_definitions() -> None:
    random = Random(8)
    for _ in range(300):
        instance = random_instance(random, range(2, 8))
        costs = costs_of(instance)
        order = [0, *random.sample(range(1, len(costs)), len(costs) - 1)]
        steps = [costs[a][b] for a, b in zip(order, order[1:] + order[:1], strict=True)]
        total = sum(step for step in steps if step is not None)
        if None in steps:
            with pytest.raises(InvalidSolution, match="no edge"):
                check(instance, order, total)
        else:
            check(instance, order, total)

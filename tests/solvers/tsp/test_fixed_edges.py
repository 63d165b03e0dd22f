"""Fixed edges: the tours of the smaller graph are exactly the tours that have them."""

from __future__ import annotations

import random
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.contract import InfeasibilityCertificate
from optimized_tsp.solvers.tsp.arcs import NO_EDGE
from optimized_tsp.solvers.tsp.fixed_edges import FixedEdges, fix_edges
from optimized_tsp.solvers.tsp.fixed_paths import Edge, join_edges
from optimized_tsp.solvers.tsp.graph import DenseGraph, tour_cost

Tours = dict[tuple[int, ...], int]


def drawn_graph(num_nodes: int, rng: random.Random, *, directed: bool) -> DenseGraph:
    costs = np.array(
        [[rng.choice([NO_EDGE, *range(9)]) for _ in range(num_nodes)] for _ in range(num_nodes)]
    )
    if not directed:
        costs = np.triu(costs, 1) + np.triu(costs, 1).T
    return DenseGraph(costs)


def drawn_edges(num_nodes: int, rng: random.Random) -> list[Edge]:
    pairs = list(permutations(range(num_nodes), 2))
    return rng.choices(pairs, k=rng.randint(0, num_nodes)) if pairs else []


def tours(graph: DenseGraph) -> Tours:
    """Every tour from node 0 with its cost."""
    found = {}
    for rest in permutations(range(1, graph.num_nodes)):
        cost = tour_cost(graph, np.array([0, *rest]))
        if cost is not None:
            found[0, *rest] = cost
    return found


def has_edges(order: tuple[int, ...], edges: list[Edge], *, directed: bool) -> bool:
    steps = {*pairwise(order), (order[-1], order[0])}
    return all((a, b) in steps or (not directed and (b, a) in steps) for a, b in edges)


def through_smaller_graph(fixed: FixedEdges) -> Tours:
    return {
        tuple(fixed.expand(order)): cost + fixed.offset
        for order, cost in tours(fixed.graph).items()
    }


@settings(deadline=None)
@given(st.booleans(), st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_same_tours_at_the_same_costs(
    directed: bool,  # noqa: FBT001
    num_nodes: int,
    rng: random.Random,
) -> None:
    graph, edges = drawn_graph(num_nodes, rng, directed=directed), drawn_edges(num_nodes, rng)
    wanted = {
        order: cost
        for order, cost in tours(graph).items()
        if has_edges(order, edges, directed=directed)
    }
    fixed = fix_edges(graph, edges, directed=directed)
    if isinstance(fixed, InfeasibilityCertificate):
        assert wanted == {}
    else:
        assert through_smaller_graph(fixed) == wanted


@settings(deadline=None)
@given(st.booleans(), st.integers(2, 7), st.randoms(use_true_random=False))
def test_tours_survive_the_way_there_and_back(
    directed: bool,  # noqa: FBT001
    num_nodes: int,
    rng: random.Random,
) -> None:
    order = [0, *rng.sample(range(1, num_nodes), num_nodes - 1)]
    steps = [*pairwise(order), (order[-1], order[0])]
    edges = [
        (a, b) if directed or rng.random() < 0.5 else (b, a)
        for a, b in rng.sample(steps, rng.randint(0, num_nodes))
    ]
    graph = DenseGraph(np.ones((num_nodes, num_nodes), dtype=np.int64))
    fixed = fix_edges(graph, edges, directed=directed)
    assert isinstance(fixed, FixedEdges)
    shortened = fixed.shorten(order)
    assert sorted(shortened) == list(range(fixed.graph.num_nodes))
    assert fixed.expand(shortened) == order


@pytest.mark.parametrize(
    ("edges", "directed", "nodes"),
    [
        ([(0, 1), (0, 2)], True, [0]),
        ([(1, 0), (2, 0)], True, [0]),
        ([(0, 1), (0, 2), (3, 0)], False, [0]),
        ([(0, 1), (1, 0)], True, [0, 1]),
        ([(0, 1), (1, 2), (2, 0)], True, [0, 1, 2]),
        ([(0, 1), (2, 1), (2, 0)], False, [0, 1, 2]),
    ],
)
def test_edges_that_no_tour_has(edges: list[Edge], directed: bool, nodes: list[int]) -> None:  # noqa: FBT001
    certificate = join_edges(5, edges, directed=directed)
    assert isinstance(certificate, InfeasibilityCertificate)
    assert certificate.kind == "fixed_edges"
    assert sorted(certificate.nodes) == nodes


def test_edges_given_twice_are_one() -> None:
    assert join_edges(5, [(0, 1), (1, 0), (0, 1)], directed=False) == [[0, 1]]
    assert join_edges(5, [(0, 1), (0, 1)], directed=True) == [[0, 1]]


def test_a_fixed_edge_that_does_not_exist() -> None:
    graph = DenseGraph(np.array([[0, NO_EDGE, 1], [NO_EDGE, 0, 1], [1, 1, 0]]))
    certificate = fix_edges(graph, [(0, 1)], directed=False)
    assert isinstance(certificate, InfeasibilityCertificate)
    assert certificate.nodes == [0, 1]

"""Graphs of every form say the same about the same instance."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from optimized_tsp.solvers.tsp import Edge, TspInstance
from optimized_tsp.solvers.tsp.arcs import NO_EDGE, edge_columns
from optimized_tsp.solvers.tsp.graph import ArcGraph, DenseGraph, PointGraph, build_graph, tour_cost
from tests.solvers.tsp.brute_force import costs_of
from tests.solvers.tsp.random_instances import random_instance


@pytest.mark.parametrize("seed", range(60))
def test_costs_between_nodes_are_those_of_the_instance(seed: int) -> None:
    instance = random_instance(Random(seed), range(2, 9))
    count = instance.node_count
    graphs = [build_graph(instance)]
    if instance.edges is not None:
        graphs.append(ArcGraph(count, *edge_columns(instance.edges)))
    graphs += [graph.dense() for graph in graphs if not isinstance(graph, DenseGraph)]
    nodes = np.arange(count)
    for graph in graphs:
        found = graph.between(nodes[:, None], nodes[None, :])
        for i, row in enumerate(costs_of(instance)):
            for j, cost in enumerate(row):
                if i != j:
                    assert found[i, j] == (NO_EDGE if cost is None else cost)


def test_a_matrix_knows_whether_it_is_symmetric_and_complete() -> None:
    def graph(*rows: list[int | None]) -> DenseGraph:
        built = build_graph(TspInstance(matrix=list(rows)))
        assert isinstance(built, DenseGraph)
        return built

    same = graph([9, 1, 2], [1, 8, 3], [2, 3, 7])
    assert (same.symmetric, same.complete) == (True, True)
    other = graph([0, 1, 2], [1, 0, 3], [2, 4, 0])
    assert (other.symmetric, other.complete) == (False, True)
    gap = graph([0, 1, None], [1, 0, 3], [None, 3, 0])
    assert (gap.symmetric, gap.complete) == (True, False)


def test_large_instances_get_no_matrix_at_first() -> None:
    ring = [Edge(node, (node + 1) % 2_000, node) for node in range(2_000)]
    sparse = build_graph(TspInstance(num_nodes=2_000, edges=[*ring, Edge(0, 1, 7)]))
    assert isinstance(sparse, ArcGraph)
    assert sparse.num_arcs == 2_000
    assert tour_cost(sparse, np.arange(2_000)) == sum(range(2_000))
    assert tour_cost(sparse, np.arange(2_000)[::-1]) is None
    assert isinstance(build_graph(TspInstance(coordinates=[[0, 0]], metric="ATT")), PointGraph)
    assert tour_cost(build_graph(TspInstance(num_nodes=6_000, edges=[])), np.arange(6_000)) is None

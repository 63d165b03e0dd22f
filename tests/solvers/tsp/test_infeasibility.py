"""Certificates say what is true, in milliseconds, and never where there is a tour."""

from __future__ import annotations

from random import Random
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.contract import InfeasibilityCertificate
from optimized_tsp.solvers.tsp.infeasibility import find_certificate
from tests.promises import promised
from tests.solvers.tsp.brute_force import optimal_cost

Arc: TypeAlias = tuple[int, int]
QUICK_S = 0.5  # milliseconds on a quiet machine


def certificate(num_nodes: int, arcs: set[Arc]) -> InfeasibilityCertificate | None:
    source, target = np.array(sorted(arcs), dtype=np.int64).reshape(-1, 2).T
    return find_certificate(num_nodes, source, target)


def both_ways(edges: set[Arc]) -> set[Arc]:
    return edges | {(b, a) for a, b in edges}


def connected(nodes: set[int], arcs: set[Arc]) -> bool:
    """Whether the nodes hang together, whatever the directions."""
    around: dict[int, set[int]] = {node: set() for node in nodes}
    for a, b in both_ways(arcs):
        if a in nodes and b in nodes:
            around[a].add(b)
    reached, waiting = {min(nodes)}, [min(nodes)]
    while waiting:
        new = around[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached == nodes


def verify(num_nodes: int, arcs: set[Arc], found: InfeasibilityCertificate) -> None:
    """Look at the graph itself for what the certificate claims."""
    nodes = set(found.nodes)
    everything = set(range(num_nodes))
    assert nodes <= everything
    leaving = {b for a, b in arcs if a in nodes}
    entering = {a for a, b in arcs if b in nodes}
    if found.kind == "no_outgoing_edge":
        assert not leaving
    elif found.kind == "no_incoming_edge":
        assert not entering
    elif found.kind == "disconnected":
        assert nodes < everything
        assert leaving <= nodes or entering <= nodes
    elif found.kind == "cut_node":
        assert not connected(everything - nodes, arcs)
    else:
        assert found.kind == "no_cycle_cover"
        assert len(nodes) > min(len(leaving), len(entering))


@settings(max_examples=400, deadline=None)
@given(
    st.integers(2, 7).flatmap(
        lambda n: st.tuples(
            st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))
        )
    )
)
def test_certificates_are_true_and_tours_are_never_denied(graph: tuple[int, set[Arc]]) -> None:
    num_nodes, arcs = graph[0], {(a, b) for a, b in graph[1] if a != b}
    found = certificate(num_nodes, arcs)
    if found is None:
        return
    verify(num_nodes, arcs, found)
    costs = [[1 if (a, b) in arcs else None for b in range(num_nodes)] for a in range(num_nodes)]
    assert optimal_cost(costs) is None


@pytest.mark.parametrize(
    ("num_nodes", "arcs", "kind", "nodes"),
    [
        (2, {(0, 1)}, "no_outgoing_edge", [1]),
        (2, set(), "no_outgoing_edge", [0, 1]),
        (3, both_ways({(0, 1)}) | {(2, 0)}, "no_incoming_edge", [2]),
        (5, both_ways({(0, 1), (2, 3), (3, 4), (2, 4)}), "disconnected", [0, 1]),
        (4, both_ways({(0, 1), (2, 3)}) | {(0, 2), (1, 3)}, "disconnected", [2, 3]),
        (5, both_ways({(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (2, 4)}), "cut_node", [2]),
        (5, both_ways({(a, b) for a in (0, 1) for b in (2, 3, 4)}), "no_cycle_cover", [2, 3, 4]),
    ],
)
def test_the_first_reason_is_named_with_its_nodes(
    num_nodes: int, arcs: set[Arc], kind: str, nodes: list[int]
) -> None:
    found = certificate(num_nodes, arcs)
    assert found is not None
    assert (found.kind, found.nodes) == (kind, nodes)
    assert found.message


def test_one_node_needs_no_edges() -> None:
    assert certificate(1, set()) is None


def large_sparse_graph(random: Random) -> set[Arc]:
    """A thousand nodes on a cycle with ten more arcs each: it has a tour."""
    arcs = {(node, (node + 1) % 1_000) for node in range(1_000)}
    while len(arcs) < 11_000:
        a, b = random.sample(range(1_000), 2)
        arcs.add((a, b))
    return arcs


@pytest.mark.parametrize("fault", ["none", "sink", "source", "parts", "cut", "hall"])
def test_a_thousand_nodes_are_judged_in_milliseconds(fault: str) -> None:
    arcs = large_sparse_graph(Random(3))
    if fault == "sink":
        arcs = {(a, b) for a, b in arcs if a != 700}
    elif fault == "source":
        arcs = {(a, b) for a, b in arcs if b != 700}
    elif fault == "parts":
        arcs = {(a, b) for a, b in arcs if a < 950 or b >= 950} | {(999, 950)}
    elif fault == "cut":
        arcs = both_ways({(a, b) for a, b in arcs if (a < 500) == (b < 500) or 499 in (a, b)})
    elif fault == "hall":
        arcs = {(a, b) for a, b in arcs if b >= 10 or 500 <= a < 509} | {
            (500 + i, i) for i in range(9)
        }
        arcs |= {(505, 9)}
    certificate(2, {(0, 1)})  # what is imported on first use is not what is measured
    source, target = np.array(sorted(arcs)).T
    with promised(QUICK_S):
        found = find_certificate(1_000, source, target)

    kinds = {
        "none": None,
        "sink": "no_outgoing_edge",
        "source": "no_incoming_edge",
        "parts": "disconnected",
        "cut": "cut_node",
        "hall": "no_cycle_cover",
    }
    assert (found.kind if found else None) == kinds[fault]
    if found is not None:
        verify(1_000, arcs, found)


def test_a_complete_graph_is_known_to_have_a_tour_at_once() -> None:
    source, target = np.nonzero(~np.eye(1_000, dtype=bool))
    with promised(QUICK_S):
        assert find_certificate(1_000, source, target) is None


def test_at_most_a_hundred_nodes_are_listed() -> None:
    found = certificate(500, set())
    assert found is not None
    assert len(found.nodes) == 100
    assert "500 nodes" in found.message

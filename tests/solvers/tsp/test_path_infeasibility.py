"""Certificates for open paths say what is true, and never where there is a path."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.contract import InfeasibilityCertificate
from optimized_tsp.solvers.tsp.infeasibility import find_certificate
from optimized_tsp.solvers.tsp.open_ends import OpenEnds
from optimized_tsp.solvers.tsp.path_infeasibility import find_path_certificate

Arc: TypeAlias = tuple[int, int]


def columns(arcs: set[Arc]) -> tuple[np.ndarray, np.ndarray]:
    source, target = np.array(sorted(arcs), dtype=np.int64).reshape(-1, 2).T
    return source, target


def certificate(ends: OpenEnds, arcs: set[Arc]) -> InfeasibilityCertificate | None:
    return find_path_certificate(ends, *columns(arcs))


def both_ways(edges: set[Arc]) -> set[Arc]:
    return edges | {(b, a) for a, b in edges}


def has_path(ends: OpenEnds, arcs: set[Arc]) -> bool:
    return any(
        ends.fit(order) and all(step in arcs for step in pairwise(order))
        for order in permutations(range(ends.num_nodes))
    )


def parts(nodes: set[int], arcs: set[Arc]) -> list[set[int]]:
    """The connected parts of some nodes, whatever the directions."""
    found: list[set[int]] = []
    rest = set(nodes)
    while rest:
        part, waiting = set[int](), [rest.pop()]
        while waiting:
            node = waiting.pop()
            part.add(node)
            near = {b for a, b in both_ways(arcs) if a == node} & rest
            rest -= near
            waiting += near
        found.append(part)
    return found


def verify(ends: OpenEnds, arcs: set[Arc], found: InfeasibilityCertificate) -> None:
    """Look at the graph itself for what the certificate claims."""
    useful = {(a, b) for a, b in arcs if b != ends.start and a != ends.end}
    nodes, everything = set(found.nodes), set(range(ends.num_nodes))
    leaving = {b for a, b in useful if a in nodes}
    entering = {a for a, b in useful if b in nodes}
    if found.kind == "no_outgoing_edge":
        assert not leaving
        assert ends.end not in nodes
        assert ends.end is not None or len(nodes) > 1
    elif found.kind == "no_incoming_edge":
        assert not entering
        assert ends.start not in nodes
        assert ends.start is not None or len(nodes) > 1
    elif found.kind == "disconnected":
        assert (leaving <= nodes and ends.end not in nodes) or (
            entering <= nodes and ends.start not in nodes
        )
        assert nodes < everything
    elif found.kind == "cut_node":
        (node,) = nodes
        pieces = parts(everything - nodes, useful)
        known = {ends.start, ends.end} - {None}
        apart = len(known) == 2 and any(not known & piece for piece in pieces)
        assert len(pieces) > (1 if node in known else 2) or apart
    else:
        assert found.kind == "no_path_cover"
        ways_on = len(nodes) - (ends.end is None) > len(leaving) and ends.end not in nodes
        ways_in = len(nodes) - (ends.start is None) > len(entering) and ends.start not in nodes
        assert ways_on or ways_in


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_certificates_are_true_and_paths_are_never_denied(data: st.DataObject) -> None:
    num_nodes = data.draw(st.integers(2, 6))
    node = st.integers(0, num_nodes - 1)
    drawn = data.draw(st.sets(st.tuples(node, node)))
    arcs = {(a, b) for a, b in drawn if a != b}
    if data.draw(st.booleans()):
        arcs = both_ways(arcs)
    start, end = data.draw(st.none() | node), data.draw(st.none() | node)
    ends = OpenEnds(num_nodes, start, None if end == start else end)
    found = certificate(ends, arcs)
    if found is not None:
        verify(ends, arcs, found)
        assert not has_path(ends, arcs)


LINE = both_ways({(0, 1), (1, 2), (2, 3)})
STAR = both_ways({(0, 1), (0, 2), (0, 3)})
# Two triangles that share node 2.
BOW = both_ways({(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (2, 4)})
BIPARTITE = both_ways({(a, b) for a in (0, 1) for b in (2, 3, 4, 5)})


@pytest.mark.parametrize(
    ("num_nodes", "arcs", "ends", "kind", "nodes"),
    [
        (3, {(0, 1), (0, 2)}, (None, None), "no_outgoing_edge", [1, 2]),
        (3, {(1, 0), (2, 0)}, (None, None), "no_incoming_edge", [1, 2]),
        (3, {(0, 1), (1, 2)}, (None, 0), "no_outgoing_edge", [2]),
        (4, both_ways({(0, 1), (2, 3)}), (None, None), "disconnected", [0, 1]),
        (4, LINE, (1, None), "disconnected", [0]),
        (4, STAR, (None, None), "cut_node", [0]),
        (5, BOW, (2, None), "disconnected", [0, 1]),
        (5, BOW, (0, 1), "cut_node", [2]),
        (6, BIPARTITE, (None, None), "no_path_cover", [2, 3, 4, 5]),
    ],
)
def test_the_first_reason_is_named_with_its_nodes(
    num_nodes: int,
    arcs: set[Arc],
    ends: tuple[int | None, int | None],
    kind: str,
    nodes: list[int],
) -> None:
    found = certificate(OpenEnds(num_nodes, *ends), arcs)
    assert found is not None
    assert (found.kind, found.nodes) == (kind, nodes)
    assert "path" in found.message


@pytest.mark.parametrize(
    ("num_nodes", "arcs", "ends"),
    [
        (4, LINE, (None, None)),
        (4, LINE, (0, 3)),
        (4, LINE, (None, 0)),
        (3, {(0, 1), (1, 2)}, (0, None)),
        (5, BOW, (None, None)),
        (5, BOW, (0, 3)),
    ],
)
def test_a_graph_with_a_path_but_no_round_trip_is_feasible(
    num_nodes: int, arcs: set[Arc], ends: tuple[int | None, int | None]
) -> None:
    assert find_certificate(num_nodes, *columns(arcs)) is not None
    assert certificate(OpenEnds(num_nodes, *ends), arcs) is None

"""Why a graph has no open path through all nodes between the given ends, with nodes that show it.

The tests are those of `infeasibility.py`, for what a path needs: one way out of every node but the
last, one way into every node but the first. Arcs into the start or out of the end are no part of
any path and do not count.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse.csgraph import connected_components, maximum_bipartite_matching

from optimized_tsp.solvers.contract import InfeasibilityCertificate
from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.infeasibility import (
    arc_matrix,
    certificate_of,
    counted,
    cut_nodes,
    rows_with_too_few,
    sparse_certificate,
)
from optimized_tsp.solvers.tsp.open_ends import OpenEnds

__all__ = ["find_path_certificate"]


def find_path_certificate(
    ends: OpenEnds, source: IntArray, target: IntArray
) -> InfeasibilityCertificate | None:
    """A proof that the directed graph has no such path, or None when these tests find none.

    The arcs hold no self loops and every pair once; there are two nodes or more.
    """
    useful = np.ones(len(source), dtype=np.bool_)
    if ends.start is not None:
        useful &= target != ends.start
    if ends.end is not None:
        useful &= source != ends.end
    source, target = source[useful], target[useful]
    return next(
        (
            found
            for test in (_missing_arcs, _separate_groups, _cut_node, _no_path_cover)
            for found in test(ends, source, target)
        ),
        None,
    )


def _missing_arcs(
    ends: OpenEnds, source: IntArray, target: IntArray
) -> Iterator[InfeasibilityCertificate]:
    for kind, nodes, exempt, way, verb in (
        ("no_outgoing_edge", source, ends.end, "out of", "end"),
        ("no_incoming_edge", target, ends.start, "into", "begin"),
    ):
        bare = np.flatnonzero(np.bincount(nodes, minlength=ends.num_nodes) == 0)
        bare = bare[bare != (-1 if exempt is None else exempt)]
        if len(bare) > (exempt is None):
            message = f"No edge for a {ends} leads {way} {counted(bare)}"
            only = f", and a path can {verb} at only one node." if exempt is None else "."
            yield certificate_of(kind, bare, message + only)


def _separate_groups(
    ends: OpenEnds, source: IntArray, target: IntArray
) -> Iterator[InfeasibilityCertificate]:
    """Two strongly connected components that no arc leaves, or two that no arc enters."""
    graph = arc_matrix(ends.num_nodes, source, target)
    count, component = connected_components(graph, directed=True, connection="strong")
    sizes = np.bincount(component, minlength=count)
    crossing = component[source] != component[target]
    for nodes, known, way, verb in (
        (source, ends.end, "leaves", "end"),
        (target, ends.start, "enters", "begin"),
    ):
        closed = np.ones(count, dtype=np.bool_)
        closed[component[nodes[crossing]]] = False
        if known is not None:
            closed[component[known]] = False
        groups = sorted(np.flatnonzero(closed).tolist(), key=lambda group: int(sizes[group]))
        if len(groups) > (known is None):
            listed = np.flatnonzero(component == groups[0])
            message = f"No edge for a {ends} {way} this group of {counted(listed)}"
            other = "nor another group; it" if known is None else "but it"
            where = "in only one of them" if known is None else "elsewhere"
            yield certificate_of("disconnected", listed, f"{message}, {other} must {verb} {where}.")


def _cut_node(
    ends: OpenEnds, source: IntArray, target: IntArray
) -> Iterator[InfeasibilityCertificate]:
    """A node that a path would have to pass twice, whatever the directions of the arcs."""
    neighbours = sparse_certificate(ends.num_nodes, source, target)
    known = [end for end in (ends.start, ends.end) if end is not None]
    for node, pieces in cut_nodes(neighbours):
        if pieces > (1 if node in known else 2):
            message = f"Without node {node}, and edges that a {ends} cannot use, the rest falls "
            message += f"into {pieces} parts: it would have to be passed more than once."
            yield certificate_of("cut_node", [node], message)
    if ends.start is not None and ends.end is not None:
        neighbours[ends.start].append(ends.end)
        neighbours[ends.end].append(ends.start)
        for node, _ in cut_nodes(neighbours):
            message = f"Without node {node} some of the rest is cut off from both ends: "
            message += f"a {ends} would have to pass it twice."
            yield certificate_of("cut_node", [node], message)


def _no_path_cover(
    ends: OpenEnds, source: IntArray, target: IntArray
) -> Iterator[InfeasibilityCertificate]:
    """Nodes with too few successors, or too few predecessors, in all (Hall's condition)."""
    for a, b, known, verb in (
        (source, target, ends.end, "lead only to"),
        (target, source, ends.start, "can be reached only from"),
    ):
        graph = arc_matrix(ends.num_nodes, a, b)
        matched = maximum_bipartite_matching(graph, perm_type="column")
        unmatched = np.flatnonzero(matched < 0)
        unmatched = unmatched[unmatched != (-1 if known is None else known)]
        if len(unmatched) > (known is None):
            chosen = unmatched[: 1 + (known is None)].tolist()
            nodes = rows_with_too_few(graph, matched, chosen)
            others = len(np.unique(graph[nodes].indices))
            message = f"{counted(nodes)} {verb} {others} others in all, too few for a {ends}."
            yield certificate_of("no_path_cover", nodes, message)

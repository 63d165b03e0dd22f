"""Why a graph has no tour, found before solving, with nodes that show it.

Every test is linear in the number of arcs or nearly so. Passing them all proves nothing: whether a
graph has a tour is NP-complete.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import (
    breadth_first_order,
    connected_components,
    maximum_bipartite_matching,
)

from optimized_tsp.solvers.contract import InfeasibilityCertificate
from optimized_tsp.solvers.tsp.arcs import IntArray

__all__ = [
    "MAX_CERTIFICATE_NODES",
    "arc_matrix",
    "certificate_of",
    "counted",
    "cut_nodes",
    "find_certificate",
    "rows_with_too_few",
    "sparse_certificate",
]

MAX_CERTIFICATE_NODES = 100


def find_certificate(
    num_nodes: int, source: IntArray, target: IntArray
) -> InfeasibilityCertificate | None:
    """A proof that the directed graph has no tour, or None when these tests find none.

    The arcs hold no self loops and every pair once. A single node needs no arcs.
    """
    if num_nodes == 1 or _has_surely_a_tour(num_nodes, source, target):
        return None
    return (
        _missing_arcs(num_nodes, source, target)
        or _disconnected(num_nodes, source, target)
        or _cut_node(num_nodes, source, target)
        or _no_cycle_cover(num_nodes, source, target)
    )


def _has_surely_a_tour(num_nodes: int, source: IntArray, target: IntArray) -> bool:
    """At least n/2 arcs out of and into every node suffice (Ghouila-Houri, 1960)."""
    return all(
        2 * int(np.bincount(ends, minlength=num_nodes).min()) >= num_nodes
        for ends in (source, target)
    )


def certificate_of(
    kind: str, nodes: IntArray | list[int], message: str
) -> InfeasibilityCertificate:
    """With as many of the nodes as a certificate lists."""
    listed = [int(node) for node in nodes[:MAX_CERTIFICATE_NODES]]
    return InfeasibilityCertificate(kind=kind, nodes=listed, message=message)


def arc_matrix(num_nodes: int, source: IntArray, target: IntArray) -> csr_array:
    """The arcs as a sparse matrix of ones."""
    arcs = (np.ones(len(source), dtype=np.int8), (source, target))
    return csr_array(arcs, shape=(num_nodes, num_nodes))


def counted(nodes: IntArray | list[int], noun: str = "node") -> str:
    """How many there are, in words."""
    return f"{len(nodes)} {noun}" + ("s" if len(nodes) != 1 else "")


def _missing_arcs(
    num_nodes: int, source: IntArray, target: IntArray
) -> InfeasibilityCertificate | None:
    for kind, ends, way in (
        ("no_outgoing_edge", source, "out of"),
        ("no_incoming_edge", target, "into"),
    ):
        bare = np.flatnonzero(np.bincount(ends, minlength=num_nodes) == 0)
        if len(bare):
            return certificate_of(kind, bare, f"No edge leads {way} {counted(bare)}.")
    return None


def _disconnected(
    num_nodes: int, source: IntArray, target: IntArray
) -> InfeasibilityCertificate | None:
    """The smallest strongly connected component that no arc leaves, or that no arc enters."""
    graph = arc_matrix(num_nodes, source, target)
    count, component = connected_components(graph, directed=True, connection="strong")
    if count == 1:
        return None
    sizes = np.bincount(component, minlength=count)
    crossing = component[source] != component[target]
    candidates = []
    for ends, way in ((source, "leaves"), (target, "enters")):
        closed = np.ones(count, dtype=bool)
        closed[component[ends[crossing]]] = False
        smallest = min(np.flatnonzero(closed), key=lambda c: int(sizes[c]))
        candidates.append((int(sizes[smallest]), int(smallest), way))
    _, chosen, way = min(candidates)
    nodes = np.flatnonzero(component == chosen)
    message = f"No edge {way} this group of {counted(nodes)}, which is not the whole graph."
    return certificate_of("disconnected", nodes, message)


def _cut_node(
    num_nodes: int, source: IntArray, target: IntArray
) -> InfeasibilityCertificate | None:
    """A node without which the graph falls apart, whatever the directions of its arcs."""
    if num_nodes < 3:
        return None
    neighbours = sparse_certificate(num_nodes, source, target)
    node, _ = next(cut_nodes(neighbours), (None, 0))
    if node is None:
        return None
    message = f"Without node {node} the rest falls apart: a tour would have to pass it twice."
    return certificate_of("cut_node", [node], message)


def sparse_certificate(num_nodes: int, source: IntArray, target: IntArray) -> list[list[int]]:
    """Neighbour lists of at most 2n edges with the same cut nodes as the (undirected) graph.

    A breadth-first tree and a breadth-first forest of the rest (Cheriyan, Kao, Thurimella,
    "Scan-first search and sparse certificates", 1993): a dense graph costs no more than reading it.
    """
    neighbours: list[list[int]] = [[] for _ in range(num_nodes)]
    for _ in range(2):
        nodes, parents = _spanning_forest(num_nodes, source, target)
        for node, parent in zip(nodes.tolist(), parents.tolist(), strict=True):
            neighbours[node].append(parent)
            neighbours[parent].append(node)
        parent_of = np.full(num_nodes, -1)
        parent_of[nodes] = parents
        rest = (parent_of[source] != target) & (parent_of[target] != source)
        source, target = source[rest], target[rest]
    return neighbours


def _spanning_forest(
    num_nodes: int, source: IntArray, target: IntArray
) -> tuple[IntArray, IntArray]:
    """Nodes and their parents in a breadth-first forest of the undirected graph.

    One search does it all: an extra node tied to one node of every component comes first.
    """
    _, component = connected_components(arc_matrix(num_nodes, source, target), directed=False)
    roots = np.unique(component, return_index=True)[1]
    extra = np.full(len(roots), num_nodes)
    graph = arc_matrix(
        num_nodes + 1, np.concatenate([source, extra]), np.concatenate([target, roots])
    )
    _, parents = breadth_first_order(graph, num_nodes, directed=False)
    nodes = np.flatnonzero((parents[:num_nodes] >= 0) & (parents[:num_nodes] != num_nodes))
    return nodes, parents[nodes].astype(np.int64)


def cut_nodes(neighbours: list[list[int]]) -> Iterator[tuple[int, int]]:
    """Every cut node of a connected graph and how many parts the rest falls into without it.

    Hopcroft and Tarjan, "Efficient algorithms for graph manipulation", 1973; without recursion.
    """
    entered = [0] * len(neighbours)
    lowest = [0] * len(neighbours)
    below = [0] * len(neighbours)  # subtrees that hang on nothing but their parent
    entered[0] = lowest[0] = clock = 1
    path = [(0, -1, iter(neighbours[0]))]
    while path:
        node, parent, rest = path[-1]
        for neighbour in rest:
            if not entered[neighbour]:
                clock += 1
                entered[neighbour] = lowest[neighbour] = clock
                path.append((neighbour, node, iter(neighbours[neighbour])))
                break
            if neighbour != parent:
                lowest[node] = min(lowest[node], entered[neighbour])
        else:
            path.pop()
            if parent >= 0:
                lowest[parent] = min(lowest[parent], lowest[node])
                below[parent] += lowest[node] >= entered[parent]
            pieces = below[node] + (parent >= 0)
            if pieces > 1:
                yield node, pieces


def _no_cycle_cover(
    num_nodes: int, source: IntArray, target: IntArray
) -> InfeasibilityCertificate | None:
    """Nodes with too few successors, or too few predecessors, in all (Hall's condition)."""
    successors = arc_matrix(num_nodes, source, target)
    predecessors = arc_matrix(num_nodes, target, source)
    found = []
    for graph, verb in ((successors, "lead"), (predecessors, "can be reached")):
        matched = maximum_bipartite_matching(graph, perm_type="column")
        if (matched >= 0).all():
            return None
        unmatched = int(np.flatnonzero(matched < 0)[0])
        nodes = rows_with_too_few(graph, matched, [unmatched])
        other = len(np.unique(graph[nodes].indices))
        found.append((len(nodes), nodes, other, verb))
    _, nodes, other, verb = min(found, key=lambda violator: violator[0])
    direction = "to" if verb == "lead" else "from"
    message = (
        f"{counted(nodes)} {verb} only {direction} {other} others in all, so no set of cycles"
        " visits every node once."
    )
    return certificate_of("no_cycle_cover", nodes, message)


def rows_with_too_few(graph: csr_array, matched: IntArray, unmatched: list[int]) -> IntArray:
    """Rows with fewer columns in all, by the number of the given rows that have no match.

    `matched` is a largest matching, by row; the rows are those reachable by alternating paths.
    """
    row_of = np.full(graph.shape[1], -1)
    rows = np.flatnonzero(matched >= 0)
    row_of[matched[rows]] = rows
    reached, waiting = set(unmatched), list(unmatched)
    while waiting:
        row = waiting.pop()
        for column in graph.indices[graph.indptr[row] : graph.indptr[row + 1]]:
            partner = int(row_of[column])
            if partner not in reached:
                reached.add(partner)
                waiting.append(partner)
    return np.array(sorted(reached))

"""Edges that a tour must have, by leaving it no alternative: exact, without large penalties.

Fixed edges join to paths. A directed path becomes one node, entered where the path begins and left
where it ends. An undirected path may be walked either way: its inner nodes make room for one middle
node (where there are none, one is added) that is joined to nothing but the two ends of the path, at
cost 0. The tours of this graph are the tours with the fixed edges, each cheaper by what these cost,
so its bounds are bounds of the problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimized_tsp.solvers.contract import InfeasibilityCertificate
from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.fixed_paths import Edge, Path, join_edges, no_such_tour
from optimized_tsp.solvers.tsp.graph import DenseGraph

__all__ = ["FixedEdges", "fix_edges"]


@dataclass(frozen=True, slots=True, eq=False)
class FixedEdges:
    """A graph whose tours stand for those with the fixed edges, and the way to and from them.

    `stands_for` has the nodes of the whole graph for every node of `graph`. The last ones of
    `graph` are the middles; `ends` has their two neighbours: coming from the first, their nodes are
    walked in order, coming from the second in the opposite one. Tours cost `offset` less.
    """

    graph: DenseGraph
    stands_for: list[Path]
    ends: list[Edge]
    offset: int

    def expand(self, order: Sequence[int]) -> list[int]:
        """The tour of the whole graph, from node 0, behind a tour of the smaller one."""
        first_middle = len(self.stands_for) - len(self.ends)
        nodes: list[int] = []
        for place, node in enumerate(order):
            path = self.stands_for[node]
            if node >= first_middle and order[place - 1] != self.ends[node - first_middle][0]:
                path = path[::-1]
            nodes += path
        start = nodes.index(0)
        return nodes[start:] + nodes[:start]

    def shorten(self, order: Sequence[int]) -> list[int]:
        """The tour of the smaller graph behind a tour of the whole one that has the fixed edges."""
        node_of = {path[0]: node for node, path in enumerate(self.stands_for) if path}
        shortened = [node_of[node] for node in order if node in node_of]
        first_middle = len(self.stands_for) - len(self.ends)
        for middle, (first, second) in enumerate(self.ends, first_middle):
            if not self.stands_for[middle]:
                place = shortened.index(first)
                behind = shortened[place - 1] != second
                shortened.insert(place + behind, middle)
        return shortened

    def any_tour(self) -> list[int]:
        """A tour of `graph`, unless it uses edges that are missing in the whole graph."""
        first_middle = len(self.stands_for) - len(self.ends)
        on_paths = {node for pair in self.ends for node in pair}
        order = [node for node in range(first_middle) if node not in on_paths]
        for middle, (first, second) in enumerate(self.ends, first_middle):
            order += [first, middle, second]
        return order


def fix_edges(
    graph: DenseGraph, edges: list[Edge], *, directed: bool
) -> FixedEdges | InfeasibilityCertificate:
    """The graph in which the edges have no alternative, or why no tour has them all.

    Without directions the graph must be symmetric.
    """
    paths = join_edges(graph.num_nodes, edges, directed=directed)
    if isinstance(paths, InfeasibilityCertificate):
        return paths
    offset = 0
    for path in paths:
        costs = graph.between(np.array(path[:-1]), np.array(path[1:]))
        if (costs == NO_EDGE).any():
            return no_such_tour(path, "There is no such edge between two nodes of a fixed one.")
        offset += int(costs.sum())
    if directed:
        return _contracted(graph, paths, offset)
    return _with_middles(graph, paths, offset)


def _contracted(
    graph: DenseGraph, paths: list[Path], offset: int
) -> FixedEdges | InfeasibilityCertificate:
    """Every path as one node."""
    on_paths = {node for path in paths for node in path}
    stands_for = [*paths, *([node] for node in range(graph.num_nodes) if node not in on_paths)]
    first = np.array([path[0] for path in stands_for])
    last = np.array([path[-1] for path in stands_for])
    if len(stands_for) == 1 < graph.num_nodes:  # the tour, but for the edge that closes it
        closing = int(graph.between(last, first)[0])
        if closing == NO_EDGE:
            return no_such_tour(paths[0], "No edge closes the path of all fixed edges.")
        offset += closing
    costs: IntArray = graph.costs[np.ix_(last, first)]
    return FixedEdges(DenseGraph(costs), stands_for, [], offset)


def _with_middles(graph: DenseGraph, paths: list[Path], offset: int) -> FixedEdges:
    """Every path as its two ends with one node between them."""
    inner = {node for path in paths for node in path[1:-1]}
    kept = [node for node in range(graph.num_nodes) if node not in inner]
    smaller = {node: place for place, node in enumerate(kept)}
    ends = [(smaller[path[0]], smaller[path[-1]]) for path in paths]
    num_nodes = len(kept) + len(paths)
    costs = np.full((num_nodes, num_nodes), NO_EDGE)
    costs[: len(kept), : len(kept)] = graph.costs[np.ix_(kept, kept)]
    for middle, pair in enumerate(ends, len(kept)):
        costs[middle, pair] = costs[pair, middle] = 0
    stands_for = [*([node] for node in kept), *(path[1:-1] for path in paths)]
    return FixedEdges(DenseGraph(costs), stands_for, ends, offset)

"""Open paths as round trips: an additional node leads from the end of the path to its start.

The additional node is joined, at cost 0, to the nodes where the path may begin and finish, so the
round trips of the larger graph are the paths, at the same costs, and its bounds are bounds of the
paths. A symmetric graph stays symmetric: with both ends given the additional node has just these
two neighbours; with one end given it is joined to all nodes, and a link with two neighbours only
leads from it to that end; with none it is joined to all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.fixed_paths import Edge
from optimized_tsp.solvers.tsp.graph import ArcGraph, DenseGraph
from optimized_tsp.solvers.tsp.schemas import TspInstance

__all__ = ["OpenEnds", "open_ends_of"]


@dataclass(frozen=True, slots=True)
class OpenEnds:
    """Where a path of `num_nodes` nodes (two or more) must begin and end; None: anywhere.

    The additional node is `num_nodes`; where there is a `link` that is `num_nodes` + 1.
    """

    num_nodes: int
    start: int | None
    end: int | None
    link: bool = False

    def __str__(self) -> str:
        begins = "" if self.start is None else f" that begins at node {self.start}"
        ends = "" if self.end is None else f" that ends at node {self.end}"
        return f"path{begins}{' and' if begins and ends else ''}{ends}"

    def opened(self, order: Sequence[int]) -> list[int]:
        """The path, from its start to its end, behind a round trip of the larger graph."""
        cut = order.index(self.num_nodes)
        path = [node for node in [*order[cut:], *order[:cut]] if node < self.num_nodes]
        return path if self.fit(path) else path[::-1]

    def closed(self, path: Sequence[int]) -> list[int]:
        """The round trip of the larger graph for a path."""
        if not self.link:
            return [*path, self.num_nodes]
        between = [self.num_nodes, self.num_nodes + 1]
        return [*path, *(between if self.end is None else between[::-1])]

    def fit(self, path: Sequence[int]) -> bool:
        """Whether an order of the nodes begins and ends where it must."""
        return self.start in {None, path[0]} and self.end in {None, path[-1]}

    def demanded(self) -> list[Edge]:
        """Edges of the larger graph that its round trips must have, in the path's direction."""
        edges = [] if self.start is None else [(self.num_nodes, self.start)]
        return edges if self.end is None else [*edges, (self.end, self.num_nodes)]

    def close_dense(self, graph: DenseGraph) -> DenseGraph:
        """The larger graph without a link; `demanded` says which of its edges are needed."""
        into, out_of = (self._may_be(end) for end in (self.end, self.start))
        if graph.symmetric:
            into = out_of = np.union1d(into, out_of)
        costs = np.full((self.num_nodes + 1, self.num_nodes + 1), NO_EDGE)
        costs[:-1, :-1] = graph.costs
        costs[into, -1] = costs[-1, out_of] = 0
        return DenseGraph(costs, symmetric=graph.symmetric)

    def close_sparse(self, graph: ArcGraph) -> tuple[ArcGraph, OpenEnds]:
        """The larger graph, whose tours all have what is demanded, and its ends with its link."""
        node = self.num_nodes
        if not _is_symmetric(graph):
            into, out_of = (self._may_be(end) for end in (self.end, self.start))
            pairs = [*((v, node) for v in into.tolist()), *((node, v) for v in out_of.tolist())]
            return _with_arcs(graph, node + 1, pairs), self
        known = [end for end in (self.start, self.end) if end is not None]
        if len(known) == 1:
            pairs = [(v, node) for v in range(node)] + [(node, node + 1), (node + 1, known[0])]
        else:
            pairs = [(v, node) for v in known or range(node)]
        pairs += [(b, a) for a, b in pairs]
        ends = replace(self, link=len(known) == 1)
        return _with_arcs(graph, node + 1 + ends.link, pairs), ends

    def _may_be(self, end: int | None) -> IntArray:
        return np.arange(self.num_nodes) if end is None else np.array([end])


def open_ends_of(instance: TspInstance) -> OpenEnds | None:
    """What a valid instance says about its ends; None for round trips and for single nodes."""
    if instance.round_trip or instance.node_count == 1:
        return None
    return OpenEnds(instance.node_count, instance.start, instance.end)


def _is_symmetric(graph: ArcGraph) -> bool:
    source, target = graph.arcs()
    return bool((graph.between(target, source) == graph.costs).all())


def _with_arcs(graph: ArcGraph, num_nodes: int, arcs: list[Edge]) -> ArcGraph:
    """The graph with more nodes and, at cost 0, more arcs."""
    source, target = graph.arcs()
    more = np.array(arcs, dtype=np.int64)
    return ArcGraph(
        num_nodes,
        np.concatenate([source, more[:, 0]]),
        np.concatenate([target, more[:, 1]]),
        np.concatenate([graph.costs, np.zeros(len(more), dtype=np.int64)]),
    )

"""From what an instance asks for to round trips through a graph, and back.

Engines know round trips only. Open ends (`open_ends.py`) and fixed edges (`fixed_edges.py`) are
turned into graphs whose tours are exactly the tours asked for, each cheaper by the same `offset`,
so that bounds and proofs hold for both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimized_tsp.solvers.contract import Incumbent, InfeasibilityCertificate, Outcome
from optimized_tsp.solvers.tsp.fixed_edges import FixedEdges, fix_edges
from optimized_tsp.solvers.tsp.fixed_paths import Edge, no_such_tour
from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT, ArcGraph, DenseGraph, Graph, PointGraph
from optimized_tsp.solvers.tsp.infeasibility import MAX_CERTIFICATE_NODES
from optimized_tsp.solvers.tsp.open_ends import OpenEnds, open_ends_of
from optimized_tsp.solvers.tsp.opened_tours import Listener, OpenedTours
from optimized_tsp.solvers.tsp.path_infeasibility import find_path_certificate
from optimized_tsp.solvers.tsp.schemas import TspInstance, TspSolution
from optimized_tsp.solvers.tsp.tours.space_filling import hilbert_tour

__all__ = ["Reduction", "fixed_edges_of", "reduce_instance"]

_WORDS = {
    "no_outgoing_edge": "no edge leads on from here.",
    "no_incoming_edge": "no edge leads to here.",
    "disconnected": "no edge leads from these nodes to the others, or none leads back.",
    "cut_node": "without this node the rest falls apart.",
    "no_cycle_cover": "these nodes have too few successors, or too few predecessors, in all.",
    "no_tour": "a complete search found that no tour exists.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """A graph whose round trips stand for the tours of an instance; those cost `offset` more.

    `first_node` is where the tours of the instance begin, None where that is anywhere.
    `known_tour` is an order of the graph's nodes that is worth a try, None where there is none.
    """

    graph: Graph
    first_node: int | None
    ends: OpenEnds | None = None
    fixed: FixedEdges | None = None
    known_tour: list[int] | None = None

    @property
    def offset(self) -> int:
        """What the tours of the instance cost more than those of the graph."""
        return 0 if self.fixed is None else self.fixed.offset

    def expand(self, order: Sequence[int]) -> list[int]:
        """The tour of the instance, from where it begins, behind a round trip of the graph."""
        whole = list(order) if self.fixed is None else self.fixed.expand(order)
        if self.ends is not None:
            return self.ends.opened(whole)
        if self.first_node is None:  # a single node
            return whole
        begin = whole.index(self.first_node)
        return whole[begin:] + whole[:begin]

    def shorten(self, order: Sequence[int]) -> list[int]:
        """The round trip of the graph behind a tour of the instance.

        A round trip of the instance may begin anywhere, an open path goes from its start to its
        end; it has to have the fixed edges.
        """
        whole = list(order) if self.ends is None else self.ends.closed(order)
        return whole if self.fixed is None else self.fixed.shorten(whole)

    def reporting_to(self, listener: Listener) -> Listener:
        """A listener to a search of the graph that tells `listener` of the instance."""

        def report(found: Incumbent[TspSolution]) -> None:
            solution = self._solution(found.solution)
            cost, lower_bound = self._cost(found.cost), self._cost(found.lower_bound)
            listener(Incumbent(solution, cost, lower_bound))

        return report

    def outcome(self, found: Outcome[TspSolution]) -> Outcome[TspSolution]:
        """The outcome for the graph, said of the instance."""
        return replace(
            found,
            solution=self._solution(found.solution),
            cost=self._cost(found.cost),
            lower_bound=self._cost(found.lower_bound),
            infeasibility=self.certificate(found.infeasibility),
        )

    def certificate(
        self, found: InfeasibilityCertificate | None
    ) -> InfeasibilityCertificate | None:
        """Why the graph has no round trip, said of the instance.

        The graph has nodes of its own, so its words must not name or count any.
        """
        if found is None or (self.ends is None and self.fixed is None):
            return found
        nodes, manners = found.nodes, []
        if self.fixed is not None:
            nodes = [node for smaller in nodes for node in self.fixed.stands_for[smaller]]
            manners = ["the fixed edges as single nodes"]
        if self.ends is not None:
            nodes = [node for node in nodes if node < self.ends.num_nodes]
            manners.append("an additional node that joins the ends of the path")
        return InfeasibilityCertificate(
            kind=found.kind,
            nodes=sorted(nodes)[:MAX_CERTIFICATE_NODES],
            message=f"With {' and '.join(manners)}: {_WORDS[found.kind]}",
        )

    def _solution(self, solution: TspSolution | None) -> TspSolution | None:
        if solution is None:
            return None
        order = self.expand(solution.node_order)
        return TspSolution(node_order=order, cost=solution.cost + self.offset)

    def _cost(self, cost: int | None) -> int | None:
        return None if cost is None else cost + self.offset


_SECONDS_PER_PAIR = 4e-7
"""With less time than this a matrix of all distances is of no use."""


def reduce_instance(
    instance: TspInstance, graph: Graph, *, seconds: float = math.inf
) -> Reduction | OpenedTours | InfeasibilityCertificate:
    """The graph to search for a valid instance with its graph, or a proof that it has no tour.

    `seconds` are those of the whole solve.
    """
    edges, directed = fixed_edges_of(instance)
    ends = open_ends_of(instance)
    if ends is not None:
        enough = graph.num_nodes <= DENSE_LIMIT and seconds > _SECONDS_PER_PAIR * graph.num_nodes**2
        if isinstance(graph, PointGraph) and not edges and not enough:
            return OpenedTours(graph, ends)
        return _open(ends, graph, edges, directed=directed)
    if not edges:
        return Reduction(graph, instance.first_node)
    fixed = fix_edges(_dense(graph), edges, directed=directed)
    if isinstance(fixed, InfeasibilityCertificate):
        return fixed
    return Reduction(fixed.graph, instance.first_node, fixed=fixed, known_tour=fixed.any_tour())


def _open(
    ends: OpenEnds, graph: Graph, edges: list[Edge], *, directed: bool
) -> Reduction | InfeasibilityCertificate:
    if not isinstance(graph, PointGraph) and not graph.complete:
        certificate = find_path_certificate(ends, *graph.arcs())
        if certificate is not None:
            return certificate
    if isinstance(graph, ArcGraph) and not edges:
        closed, ends = ends.close_sparse(graph)
        return Reduction(closed, ends.start, ends)
    dense = _dense(graph)
    larger, demanded = ends.close_dense(dense), ends.demanded()
    order = ends.closed(_path_of_points(graph, ends)) if isinstance(graph, PointGraph) else None
    if not edges and not demanded:
        return Reduction(larger, None, ends, known_tour=order)
    directed = directed if edges else not dense.symmetric
    fixed = fix_edges(larger, [*edges, *demanded], directed=directed)
    if isinstance(fixed, InfeasibilityCertificate):
        nodes = [node for node in fixed.nodes if node < ends.num_nodes]
        return no_such_tour(nodes, f"No {ends} has all the fixed edges.")
    known = fixed.any_tour() if edges or order is None else fixed.shorten(order)
    return Reduction(fixed.graph, ends.start, ends, fixed, known)


def fixed_edges_of(instance: TspInstance) -> tuple[list[Edge], bool]:
    """The fixed edges of a valid instance, and whether their directions count."""
    if instance.tsplib is None:
        return [], False
    return instance.tsplib_problem.fixed_edges, instance.tsplib_problem.directed


def _dense(graph: Graph) -> DenseGraph:
    return graph if isinstance(graph, DenseGraph) else graph.dense()


def _path_of_points(graph: PointGraph, ends: OpenEnds) -> list[int]:
    """A short path in no time: along a space-filling curve, cut where it must begin or end."""
    order = hilbert_tour(graph.distances.points)
    if ends.start is None and ends.end is None:
        lengths = graph.between(order, np.roll(order, -1))
        return [int(node) for node in np.roll(order, -1 - int(lengths.argmax()))]
    known = [node for node in (ends.start, ends.end) if node is not None]
    place = int(np.flatnonzero(order == known[0])[0])
    rest = [node for node in np.roll(order, -place).tolist() if node not in known]
    begin = [] if ends.start is None else [ends.start]
    return [*begin, *rest, *([] if ends.end is None else [ends.end])]

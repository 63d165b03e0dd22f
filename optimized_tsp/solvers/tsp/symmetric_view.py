"""Any dense graph as a symmetric problem, and tours both ways.

An asymmetric one has two nodes for each: i is entered, n + i is left, and an edge of cost 0 that is
in every tour joins the two. (R. Jonker and T. Volgenant, "Transforming asymmetric into symmetric
traveling salesman problems", 1983.)
"""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.graph import DenseGraph
from optimized_tsp.solvers.tsp.relaxation import SymmetricProblem
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tours.doubling import pairs_to_tour

__all__ = ["SymmetricView"]


class SymmetricView:
    """The symmetric problem behind a search on a dense graph; tours cost the same in both.

    Raises `ValueError` where the costs are too large for it.
    """

    def __init__(self, search: Search, graph: DenseGraph) -> None:
        self._search = search
        self._graph = graph
        if graph.symmetric:
            self.problem = SymmetricProblem(graph.costs)
        else:
            self.problem = SymmetricProblem.from_arcs(graph.costs)

    def best_tour(self) -> IntArray | None:
        """The best tour known, in nodes of the problem."""
        tour = self._search.tour
        if tour is None or self._graph.symmetric:
            return tour
        order: IntArray = np.stack([tour, tour + self._graph.num_nodes], axis=1).ravel()
        return order

    def offer(self, order: IntArray) -> None:
        """Take a tour of the problem."""
        self._search.offer_tour(order if self._graph.symmetric else pairs_to_tour(order))

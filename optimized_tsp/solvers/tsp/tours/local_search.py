"""Our own local search on one tour: starts anywhere, goes on in short runs, never gets worse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.tours.chains import ChainGraph, new_chain
from optimized_tsp.solvers.tsp.tours.edge_costs import DOUBLED, CostRule
from optimized_tsp.solvers.tsp.tours.kicks import kick_often, new_queue, optimise
from optimized_tsp.solvers.tsp.tours.neighbours import Neighbours

__all__ = ["FEWEST_NODES", "LocalSearch"]

FEWEST_NODES = 8
"""With fewer nodes there is nothing to kick."""

_WIDTHS = [(5, 5), (1, 1), (1, 0), (1, 0), (1, 0), (1, 0)]
_WIDTHS_DOUBLED = [(5, 5), (3, 3), (2, 2), (1, 1)]
_LONGEST_STRETCH = 50
_LONGEST_STRETCH_OF_MANY = 30
_MANY_NODES = 1_500
"""Long kicks change more each; short ones, of which there are more a second, change more nodes."""

_LOGGED_FLIPS = 20_000


class LocalSearch:
    """Improves `order`, a tour of the rule's nodes; the same seed and runs give the same tours.

    `improve` and `kick` return by how much `order` has become cheaper; they hold no lock of the
    interpreter. Behind it is the tour that is worked on, which heat may make dearer for a while.
    """

    def __init__(
        self, rule: CostRule, neighbours: Neighbours, order: NDArray[np.int32], seed: int
    ) -> None:
        if rule.num_nodes < FEWEST_NODES:
            raise ValueError(f"local search needs {FEWEST_NODES} nodes or more")
        self._rule = rule
        self.look_at(neighbours)
        self._chain = new_chain(_WIDTHS_DOUBLED if rule.costs[0] == DOUBLED else _WIDTHS)
        self._flips = np.zeros((_LOGGED_FLIPS, 2), np.int32), np.zeros(1, np.int64)
        self._random = np.array([np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] | 1])
        longest = _LONGEST_STRETCH if rule.num_nodes < _MANY_NODES else _LONGEST_STRETCH_OF_MANY
        self._longest = max(1, min(longest, (rule.num_nodes - 4) // 4))
        self.restart(order)

    def look_at(self, neighbours: Neighbours) -> None:
        """Join nodes to these neighbours from now on."""
        nodes, costs = neighbours
        self._graph: ChainGraph = (self._rule.costs, nodes, costs, self._rule.mates)

    def restart(self, order: NDArray[np.int32]) -> None:
        """Go on from another tour."""
        self.order = order.astype(np.int32)
        self._work_on(self.order)
        self._queue = new_queue(self.order)

    def cool(self) -> None:
        """Go on from `order`, whatever has become of the tour that is worked on."""
        if self._lead < 0:
            self._work_on(self.order)

    def _work_on(self, order: NDArray[np.int32]) -> None:
        place = np.empty_like(order)
        place[order] = np.arange(len(order), dtype=np.int32)
        self._tour = order.copy(), place
        self._lead = 0
        """By how much the tour that is worked on is cheaper than `order`."""

    @property
    def settled(self) -> bool:
        """No node is left to be tried before the next kick."""
        return int(self._queue[2][1]) == 0

    def improve(self, most: int) -> int:
        """Improve where possible, trying so many nodes."""
        self._flips[1][0] = 0
        return self._keep(
            optimise(self._tour, self._flips, self._graph, self._chain, self._queue, most)
        )

    def kick(self, kicks: int, heat: float = 0.0) -> int:
        """So many kicks, each repaired, or taken back; see `kick_often` for heat."""
        return self._keep(
            kick_often(
                self._tour,
                self._flips,
                self._graph,
                self._chain,
                self._queue,
                self._random,
                kicks,
                self._longest,
                heat,
            )
        )

    def _keep(self, gained: int) -> int:
        """Keep the tour where it is the cheapest so far, or as cheap."""
        self._lead += gained
        if self._lead < 0:
            return 0
        gained, self._lead = self._lead, 0
        self.order[:] = self._tour[0]
        return gained

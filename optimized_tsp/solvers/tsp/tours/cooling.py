"""How much heat kicks have: less and less in a cycle, and every cycle is twice as long.

With heat a search leaves the many good tours that no single kick improves; as it cools it ends in a
better one. Cycles that grow find something soon and go deeper where there is time. (O. Martin, S.
Otto and E. Felten, "Large-step Markov chains for the TSP incorporating local search heuristics",
1992, accept with heat; E. Aarts and J. Korst, "Simulated annealing and Boltzmann machines", 1989.)
"""

from __future__ import annotations

__all__ = ["Cooling"]

_HEAT_PER_KICK = 0.15
_HEAT_AT_MOST = 1.0
"""At the beginning, of what an edge costs on average: the more kicks a node, the hotter."""

_FIRST_KICKS_PER_NODE = 5
_STEPS = 40
_STRETCHED = 1.5
"""A cycle is made this many times as long where nothing else fits behind it."""


class Cooling:
    """Counts kicks on a graph of so many nodes; depends on nothing else but what it is told."""

    def __init__(self, num_nodes: int) -> None:
        self._num_nodes = num_nodes
        self._length = max(_STEPS, _FIRST_KICKS_PER_NODE * num_nodes)
        self._kicks = self._done = 0

    def begin(self, most: float) -> None:
        """Plan a cycle of at most so many kicks, unless one is under way."""
        if self._done < self._kicks:
            return
        fits = most if most < _STRETCHED * self._length else self._length
        self._kicks, self._done = max(_STEPS, int(fits)), 0
        self._length *= 2

    def heat(self, edge_cost: float) -> float:
        """For the kicks that come next, where an edge costs so much on average."""
        step = self._done * _STEPS // self._kicks
        hottest = min(_HEAT_AT_MOST, _HEAT_PER_KICK * self._kicks / self._num_nodes)
        return hottest * edge_cost * (1.0 - step / _STEPS)

    def left_in_step(self) -> int:
        """How many kicks have the same heat."""
        step = self._done * _STEPS // self._kicks
        ends = -(-(step + 1) * self._kicks // _STEPS)
        return ends - self._done

    def spend(self, kicks: int) -> bool:
        """Count kicks; whether the cycle has ended with them."""
        self._done += kicks
        return self._done >= self._kicks

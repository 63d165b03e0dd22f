"""The edges that a better tour may have, and what every tour obeys, for any engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray

__all__ = ["Core", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """`sum(coefficients * x[edges]) >= least` holds for every tour."""

    edges: IntArray
    coefficients: IntArray
    least: int


@dataclass(frozen=True, slots=True)
class Core:
    """Undirected edges `tails`-`heads` of a graph, their costs, and what every tour obeys.

    `forced` edges (numbers) are in every tour. Tours of the core may cost `left_out` more than the
    costs say.
    """

    num_nodes: int
    tails: IntArray
    heads: IntArray
    costs: IntArray
    rows: Sequence[Row] = ()
    forced: Sequence[int] = ()
    left_out: int = 0

    def edges_of(self, order: IntArray) -> NDArray[np.bool_]:
        """Which edges of the core a tour uses."""
        used: NDArray[np.bool_] = np.isin(
            self._keys(self.tails, self.heads), self._keys(order, np.roll(order, -1))
        )
        return used

    def _keys(self, a: IntArray, b: IntArray) -> IntArray:
        keys: IntArray = np.minimum(a, b) * self.num_nodes + np.maximum(a, b)
        return keys

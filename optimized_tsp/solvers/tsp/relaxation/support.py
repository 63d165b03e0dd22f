"""The edges that a fractional solution uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import (
    FloatArray,
    adjacency,
    components,
    contract,
    shrink,
)

__all__ = ["Support"]


@dataclass(frozen=True)
class Support:
    """Edges with values greater than 0: a weighted graph."""

    num_nodes: int
    tails: IntArray
    heads: IntArray
    values: FloatArray

    @cached_property
    def adjacency(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Starts, neighbours and values by node."""
        return adjacency(self.num_nodes, self.tails, self.heads, self.values)

    @cached_property
    def components(self) -> tuple[int, IntArray]:
        """The number of connected parts, and the part of every node."""
        return components(self.num_nodes, self.tails, self.heads)

    def contracted(self, labels: IntArray, count: int) -> Support:
        """The graph of the classes 0..count-1 of nodes."""
        return Support(count, *contract(self.tails, self.heads, self.values, labels, count))

    def shrunk(self, probability: float, seed: int) -> tuple[Support, IntArray]:
        """A random contraction of tight pairs, and the class of every node (see `shrink`)."""
        count, labels = shrink(
            self.num_nodes, self.tails, self.heads, self.values, probability, seed
        )
        return self.contracted(labels, count), labels

    def cut_value(self, inside: NDArray[np.bool_]) -> float:
        """The value of the edges that leave a set of nodes."""
        return float(self.values[inside[self.tails] != inside[self.heads]].sum())

    def tour(self) -> IntArray | None:
        """The tour, if every value is 1 and the edges form one; starts at node 0."""
        if len(self.tails) != self.num_nodes or self.components[0] != 1:
            return None
        if self.values.min() < 1.0 - 1e-6:
            return None
        starts, neighbours, _ = self.adjacency
        if (np.diff(starts) != 2).any():
            return None
        order = [0]
        before, node = -1, 0
        while len(order) < self.num_nodes:
            first, second = neighbours[starts[node]], neighbours[starts[node] + 1]
            before, node = node, int(second if first == before else first)
            order.append(node)
        return np.array(order)

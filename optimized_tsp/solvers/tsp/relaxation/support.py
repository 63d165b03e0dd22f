"""The edges that a fractional solution uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.cut_kernels import activities
from optimized_tsp.solvers.tsp.relaxation.cuts import CutTable
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

    def slacks(self, table: CutTable) -> FloatArray:
        """How much the solution has to spare in each cut; below 0 where it violates one."""
        left = activities(self.num_nodes, *self.adjacency, *table.arrays())
        slack: FloatArray = left - table.rhs
        return slack

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

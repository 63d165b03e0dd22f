"""Dual values made integers, and the bounds they prove without any rounding.

For any values pi of nodes and y of cuts, every tour costs at least

    sum of 2 pi + sum of y rhs + sum over edges of the least that (reduced cost * x) can be,

whatever the linear program was and however well it was solved (A. Neumaier and O. Shcherbina, "Safe
bounds in linear and mixed-integer linear programming", 2004). All of it is computed in 64-bit
integers, in units of 2**-shift of a cost, with guards against overflow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.cuts import CutTable
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray
from optimized_tsp.solvers.tsp.relaxation.pricing_kernels import (
    NO_BOUND,
    price_all_edges,
    reduced_costs,
)
from optimized_tsp.solvers.tsp.relaxation.problem import SymmetricProblem

__all__ = ["CoreEdges", "IntegerDuals", "Pricing", "integer_duals"]

_FINEST_SHIFT = 20
_TOTAL_BITS = 56
_SINGLE = float(2**56)
_TOTAL = float(2**60)
_NOTHING = 1e-9


@dataclass(frozen=True)
class CoreEdges:
    """Some edges, sorted by their keys, and what they cost."""

    keys: IntArray
    tails: IntArray
    heads: IntArray
    costs: IntArray

    @classmethod
    def of(cls, problem: SymmetricProblem, keys: IntArray) -> CoreEdges:
        """The edges with these sorted keys."""
        tails, heads = problem.ends(keys)
        return cls(keys, tails, heads, problem.costs[tails, heads])


@dataclass(frozen=True)
class Pricing:
    """What looking at all edges of the problem showed.

    `bound` is in units of 2**-shift, None if too low; `count` edges are below the limit that was
    asked for, and `keys` (sorted) and `reduced` belong to the first of them.
    """

    bound: int | None
    count: int
    keys: IntArray
    reduced: IntArray


@dataclass(frozen=True)
class IntegerDuals:
    """Values of nodes and of cuts in units of 2**-shift."""

    shift: int
    nodes: IntArray
    table: CutTable
    cuts: IntArray
    rhs: IntArray
    """Right-hand sides of the cuts; those of branching rows differ from what their cuts say."""

    @property
    def constant(self) -> int:
        """The part of the bound that does not come from edges."""
        return 2 * int(self.nodes.sum()) + int((self.cuts * self.rhs).sum())

    def price_all(self, problem: SymmetricProblem, limit: int, most: int) -> Pricing:
        """Look at all edges for those with a reduced cost below `limit`; needs cut duals >= 0."""
        total, count, tails, heads, reduced = price_all_edges(
            problem.costs,
            self.shift,
            self.nodes,
            *self.table.arrays(),
            self.cuts,
            problem.forced,
            limit,
            most,
        )
        bound = None if total == NO_BOUND else self.constant + int(total)
        return Pricing(bound, int(count), problem.keys(tails, heads), reduced)

    def reduced(self, edges: CoreEdges, *, costs: bool = True) -> IntArray:
        """Reduced costs of some edges; without `costs` as if every edge cost nothing."""
        prices = edges.costs if costs else np.zeros_like(edges.costs)
        return reduced_costs(
            edges.tails,
            edges.heads,
            prices,
            self.shift,
            self.nodes,
            *self.table.arrays(),
            self.cuts,
        )

    def bound(self, reduced: IntArray, lower: IntArray, upper: IntArray) -> int:
        """The bound over edges with these reduced costs and variables between 0-1 bounds."""
        least = np.where(reduced < 0, reduced * upper, reduced * lower)
        # Sums of up to 2**31 numbers of 32 bits each, put together in Python's integers.
        high, low = least >> 32, least & 0xFFFFFFFF
        return self.constant + (int(high.sum()) << 32) + int(low.sum())

    def whole(self, bound: int) -> int:
        """The least whole cost that is not below the bound."""
        return -(-bound >> self.shift)


def finest_shift(problem: SymmetricProblem) -> int:
    """The finest unit in which no sum of costs of a tour comes near 64 bits."""
    return min(_FINEST_SHIFT, _TOTAL_BITS - (problem.num_nodes * problem.largest_cost).bit_length())


def integer_duals(
    shift: int,
    node_duals: FloatArray,
    table: CutTable,
    cut_duals: FloatArray,
    rhs: IntArray | None = None,
    free: NDArray[np.bool_] | None = None,
) -> IntegerDuals | None:
    """Round duals down to integers; None if they are no numbers or could overflow.

    Duals of cuts are made 0 or more, but not those that are `free` (equations). `rhs` replaces the
    right-hand sides of the cuts.
    """
    unit = float(1 << shift)
    values = np.maximum(cut_duals, 0.0)
    if free is not None:
        values = np.where(free, cut_duals, values)
    if not (np.isfinite(node_duals).all() and np.isfinite(values).all()):
        return None
    used = np.abs(values) > _NOTHING
    values = values[used]
    sides = (table.rhs if rhs is None else rhs)[used]
    heaviest = float(np.abs(values) @ table.largest_weights[used])
    single = (np.abs(node_duals).max(initial=0.0) + 4.0 * heaviest) * unit
    total = (2.0 * np.abs(node_duals).sum() + float(np.abs(values) @ np.abs(sides))) * unit
    if single > _SINGLE or total > _TOTAL:
        return None
    nodes = np.floor(node_duals * unit).astype(np.int64)
    floored = np.floor(values * unit).astype(np.int64)
    return IntegerDuals(shift, nodes, table.only(used), floored, sides)

"""CP-SAT on the undirected edges of a core: degree rows, cut rows, subtours as they turn up.

CP-SAT takes no rows while it searches, so it works in rounds: each one solves the model of the rows
so far, which is a relaxation (its bound holds); where the solution falls apart into circles, one
row a circle is added and the next round begins. With the cuts of a linear relaxation in the model
few rounds are needed.

The idea is G. Dantzig, R. Fulkerson and S. Johnson's, "Solution of a large-scale traveling-salesman
problem", 1954; on cores of small reduced cost it beats `add_circuit` on the same edges clearly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from ortools.sat.python import cp_model
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.core import Core
from optimized_tsp.solvers.tsp.cp_sat import BoolArray, CpSatLimits, CpSatResult, CpSatRun, settle
from optimized_tsp.solvers.tsp.search import Search

__all__ = ["solve_core"]

_REMEMBERED = 8
"""Solutions of a round whose circles are looked at: the last ones are the best."""


def solve_core(
    search: Search,
    core: Core,
    hint: IntArray | None,
    limits: CpSatLimits,
    *,
    offer: Callable[[IntArray], object],
    on_bound: Callable[[int], None],
) -> CpSatResult:
    """Search tours of the core until it is settled, a limit is reached, or the search is over.

    `hint` is a tour of the core's graph, best among its edges. `offer` gets tours (orders of its
    nodes), `on_bound` rising lower bounds of tours of the core. For when it returns see
    `cp_sat.settle`.
    """
    run = CpSatRun(search, limits, left_out=core.left_out, on_bound=on_bound)
    rounds = _Rounds(core, run, offer)

    def work() -> CpSatResult:
        rounds.build(hint)
        return rounds.solve()

    try:
        return settle(search, run, work)
    finally:
        search.add_to("cp_sat_rounds", rounds.count)


@dataclass(slots=True)
class _Rounds:
    """The model and how it grows."""

    core: Core
    run: CpSatRun
    offer: Callable[[IntArray], object]
    model: cp_model.CpModel = field(default_factory=cp_model.CpModel)
    literals: list[cp_model.IntVar] = field(default_factory=list)
    found: list[BoolArray] = field(default_factory=list)
    circles: set[bytes] = field(default_factory=set)
    count: int = 0

    def build(self, hint: IntArray | None) -> None:
        core, model = self.core, self.model
        self.literals = [model.new_bool_var("") for _ in range(len(core.costs))]
        for edges in self._incident():
            model.add(cp_model.LinearExpr.sum([self.literals[edge] for edge in edges]) == 2)
        for edge in core.forced:
            model.add(self.literals[edge] == 1)
        for row in core.rows:
            self._add(row.edges, row.coefficients, row.least)
        model.minimize(cp_model.LinearExpr.weighted_sum(self.literals, core.costs.tolist()))
        if hint is not None:
            for literal, used in zip(self.literals, core.edges_of(hint).tolist(), strict=True):
                model.add_hint(literal, used)

    def solve(self) -> CpSatResult:
        """Rounds until the solution is one circle, there is none, or the run is stopped."""
        while True:
            self.count += 1
            self.found.clear()
            result = self.run.solve(self.model, self.literals, self.found.append)
            if result is None:
                return CpSatResult()
            if result.no_tour or not self._add_circles():
                return result

    def _add_circles(self) -> bool:
        """Rows against the circles of the last solutions; whether there were any new ones.

        The best solution of a round is its last one; tours among them are offered.
        """
        added = False
        for used in self.found[-_REMEMBERED:]:
            count, labels = self._circles(used)
            if count == 1:
                self.offer(self._order(used))
                continue
            for circle in range(count):
                inside = labels == circle
                # A set of nodes and the rest of them are the same row.
                name = np.packbits(inside if inside[0] else ~inside).tobytes()
                if name not in self.circles:
                    self.circles.add(name)
                    self._add_cut(inside)
                    added = True
        return added

    def _add_cut(self, inside: BoolArray) -> None:
        leaving = np.flatnonzero(inside[self.core.tails] != inside[self.core.heads])
        self._add(leaving, np.ones_like(leaving), 2)

    def _add(self, edges: IntArray, coefficients: IntArray, least: int) -> None:
        literals = [self.literals[edge] for edge in edges.tolist()]
        weights = coefficients.tolist()
        self.model.add(cp_model.LinearExpr.weighted_sum(literals, weights) >= least)

    def _incident(self) -> list[list[int]]:
        incident: list[list[int]] = [[] for _ in range(self.core.num_nodes)]
        ends = zip(self.core.tails.tolist(), self.core.heads.tolist(), strict=True)
        for edge, (tail, head) in enumerate(ends):
            incident[tail].append(edge)
            incident[head].append(edge)
        return incident

    def _circles(self, used: BoolArray) -> tuple[int, IntArray]:
        core = self.core
        ones = np.ones(int(used.sum()), dtype=np.int8)
        size = (core.num_nodes, core.num_nodes)
        graph = coo_array((ones, (core.tails[used], core.heads[used])), shape=size)
        count, labels = connected_components(graph, directed=False)
        return int(count), labels

    def _order(self, used: BoolArray) -> IntArray:
        """The nodes along a single circle."""
        ahead: list[list[int]] = [[] for _ in range(self.core.num_nodes)]
        core = self.core
        for a, b in zip(core.tails[used].tolist(), core.heads[used].tolist(), strict=True):
            ahead[a].append(b)
            ahead[b].append(a)
        order = [0, ahead[0][0]]
        while len(order) < len(ahead):
            first, second = ahead[order[-1]]
            order.append(second if first == order[-2] else first)
        return np.array(order)

"""The linear program of one node: core edges, the node's decisions, and bounds that are safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.branching.node import Decision, EdgeDecision, Node, SetDecision
from optimized_tsp.solvers.tsp.relaxation.cuts import Cut
from optimized_tsp.solvers.tsp.relaxation.duals import IntegerDuals
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray
from optimized_tsp.solvers.tsp.relaxation.highs import LpStatus
from optimized_tsp.solvers.tsp.relaxation.problem import SymmetricProblem
from optimized_tsp.solvers.tsp.relaxation.root import Core
from optimized_tsp.solvers.tsp.relaxation.tour_lp import Row, TourLp

__all__ = ["Probe", "Subproblem", "Verdict"]

_MARGIN = 0.01
_MISSING = 1e-6
_COLUMNS_PER_NODE = 8
_NEW_COLUMNS_PER_NODE = 1


class Verdict(Enum):
    """What solving a node's program showed."""

    SOLVED = "solved"
    PRUNED = "pruned"
    """Proven: no tour of the node is cheaper than the best one known."""
    STOPPED = "stopped"
    UNRESOLVED = "unresolved"
    """The program could not be solved, and nothing is proven."""


@dataclass(frozen=True)
class Probe:
    """A decision, tried for a few iterations: the objective reached, and whether it is pruned."""

    decision: Decision
    objective: float
    pruned: bool
    duals: FloatArray


class Subproblem:
    """The program of a worker, made that of one node after the other.

    `lower` and `upper` are the bounds of all core edges at the node; `bound` is the best safe
    bound of the node so far, in units of the core.
    """

    def __init__(
        self,
        problem: SymmetricProblem,
        core: Core,
        cuts: list[Cut],
        *,
        over: Callable[[], bool],
        upper_bound: Callable[[], int | None],
    ) -> None:
        self.problem = problem
        self.core = core
        self.bound = core.bound
        self._over = over
        self._upper_bound = upper_bound
        self._upper: int | None = None
        self._decided: dict[bytes, SetDecision] = {}
        edges = len(core.edges.keys)
        most = _COLUMNS_PER_NODE * problem.num_nodes
        first = np.sort(np.argsort(core.reduced, kind="stable")[:most])
        self.lp = TourLp(problem, core.edges.keys[first])
        self.lp.add_cuts(cuts)
        self.lower: IntArray = np.zeros(edges, dtype=np.int64)
        self.upper: IntArray = np.ones(edges, dtype=np.int64)
        self._follow_columns()

    def enter(self, node: Node) -> bool:
        """Take the node's decisions; False if they contradict each other."""
        self._upper = self._upper_bound()
        self.bound = node.bound
        self.lower, self.upper = self._root_bounds()
        for decision in node.decisions:
            if isinstance(decision, EdgeDecision):
                if decision.used:
                    self.lower[decision.edge] = 1
                else:
                    self.upper[decision.edge] = 0
        if not self._propagate():
            return False
        self._decide_sets(node)
        self._add_columns(np.flatnonzero((self.lower == 1) & ~self._in_program))
        self._bound_columns()
        return True

    def cut_off(self, bound: int) -> bool:
        """Whether a bound leaves no room for a tour cheaper than the best one known now."""
        upper = self._upper_bound()
        return upper is not None and -(-bound >> self.core.shift) >= upper

    @property
    def cutoff(self) -> float | None:
        """The objective above which a safe bound is likely to prune the node."""
        upper = self._upper_bound()
        return None if upper is None else upper - 1 + self._margin

    @property
    def _margin(self) -> float:
        return max(_MARGIN, 8.0 * self.problem.num_nodes / (1 << self.core.shift))

    def solve(self, *, price: bool) -> Verdict:
        """Solve the program; with `price` missing core edges are added until none helps."""
        cutoff = self.cutoff
        while True:
            status = self.lp.solve(self._over, cutoff=cutoff)
            if status is LpStatus.LIMIT:
                return Verdict.STOPPED
            if status is LpStatus.FAILED:
                return Verdict.UNRESOLVED
            complete = bool(self._in_program.all())
            above = cutoff is not None and self.lp.objective > cutoff
            if status is LpStatus.OPTIMAL and not above and (complete or not price):
                return Verdict.SOLVED
            pruned, missing = self._assess(status)
            if pruned:
                return Verdict.PRUNED
            if len(missing) > 0:
                self._add_columns(missing)
                self._bound_columns()
            elif status is LpStatus.OPTIMAL:
                return Verdict.SOLVED
            elif status is LpStatus.CUTOFF and cutoff is not None:
                cutoff = None
            else:
                return Verdict.UNRESOLVED

    def settle(self) -> bool:
        """Raise `bound` by the duals of the program as solved; True if that prunes the node."""
        duals = self.lp.duals()
        if duals is not None:
            reduced = duals.reduced(self.core.edges)
            self.bound = max(self.bound, duals.bound(reduced, self.lower, self.upper))
        return self.cut_off(self.bound)

    @contextmanager
    def trials(self) -> Iterator[None]:
        """Probes inside the block work on a copy of the program, which starts them much faster."""
        program = self.lp.lp
        self.lp.lp = program.copy_for_trials()
        try:
            yield
        finally:
            self.lp.lp = program

    def probe(self, decision: Decision, iterations: int) -> Probe:
        """Try a decision for some iterations of the simplex method."""
        cutoff = self.cutoff
        basis = self.lp.lp.basis
        values, objective = self.lp.values, self.lp.objective
        with self._tried(decision):
            status = self.lp.solve(self._over, iterations=iterations, cutoff=cutoff)
            reached = np.inf if status is LpStatus.INFEASIBLE else self.lp.objective
            if status is LpStatus.FAILED:
                reached = objective
            beyond = cutoff is not None and reached > cutoff
            pruned = beyond and self._assess(status, raise_bound=False)[0]
            duals = self.lp.raw_duals
        self.lp.lp.basis = basis
        self.lp.values, self.lp.objective = values, objective
        return Probe(decision, float(reached), pruned, duals)

    def bound_of(self, probe: Probe) -> int:
        """The safe bound that the duals of a probe prove for its child."""
        with self._tried(probe.decision):
            duals = self.lp.integers(probe.duals)
            if duals is None:
                return self.bound
            reduced = duals.reduced(self.core.edges)
            return max(self.bound, duals.bound(reduced, self.lower, self.upper))

    def edge_of_column(self, column: int) -> int:
        """The number in the core of a column's edge."""
        return int(self._edges[column])

    def free_edge(self) -> int | None:
        """An edge that is not decided yet, one that the solution uses if possible."""
        free = np.flatnonzero(self.lower < self.upper)
        if len(free) == 0:
            return None
        used = np.zeros(len(self.lower))
        used[self._edges] = self.lp.values
        return int(free[used[free].argmax()])

    def _propagate(self) -> bool:
        """Decide what follows from two decided edges at a node; False if nothing can follow."""
        edges = self.core.edges
        used = self.lower == 1
        degree = np.bincount(
            np.concatenate([edges.tails[used], edges.heads[used]]),
            minlength=self.problem.num_nodes,
        )
        full = degree >= 2
        self.upper[(full[edges.tails] | full[edges.heads]) & ~used] = 0
        return not (degree > 2).any() and not (self.lower > self.upper).any()

    def _root_bounds(self) -> tuple[IntArray, IntArray]:
        if self._upper is None:
            lower = np.isin(self.core.edges.keys, self.problem.forced).astype(np.int64)
            return lower, np.ones_like(lower)
        lower, upper = self.core.bounds(self._upper)
        lower[np.isin(self.core.edges.keys, self.problem.forced)] = 1
        upper[lower == 1] = 1
        return lower, upper

    def _assess(self, status: LpStatus, *, raise_bound: bool = True) -> tuple[bool, IntArray]:
        """Whether the duals or the ray prune the node, and the missing edges that could help."""
        infeasible = status is LpStatus.INFEASIBLE
        duals = self.lp.ray() if infeasible else self.lp.duals()
        if duals is None:
            return False, np.empty(0, dtype=np.int64)
        reduced = duals.reduced(self.core.edges, costs=not infeasible)
        bound = duals.bound(reduced, self.lower, self.upper)
        if infeasible:
            pruned = bound > 0
        else:
            pruned = self.cut_off(bound)
            if raise_bound:
                self.bound = max(self.bound, bound)
        return pruned, self._missing(reduced, duals)

    def _missing(self, reduced: IntArray, duals: IntegerDuals) -> IntArray:
        limit = -int(_MISSING * (1 << duals.shift))
        missing = np.flatnonzero((reduced < limit) & (self.upper == 1) & ~self._in_program)
        most = _NEW_COLUMNS_PER_NODE * self.problem.num_nodes
        best = missing[np.argsort(reduced[missing], kind="stable")[:most]]
        return np.sort(best)

    def _add_columns(self, edges: IntArray) -> None:
        if len(edges) > 0:
            self.lp.add_edges(self.core.edges.keys[edges])
            self._follow_columns()

    def _follow_columns(self) -> None:
        self._edges: IntArray = np.searchsorted(self.core.edges.keys, self.lp.keys)
        self._in_program = np.zeros(len(self.core.edges.keys), dtype=bool)
        self._in_program[self._edges] = True

    def _bound_columns(self) -> None:
        lower, upper = self.lower[self._edges], self.upper[self._edges]
        self.lp.bound_edges(lower.astype(np.float64), upper.astype(np.float64))

    def _decide_sets(self, node: Node) -> None:
        """Rows for the sets that the node decides on; those of other nodes are subtour rows."""
        wanted = {
            decision.cut.key: decision
            for decision in node.decisions
            if isinstance(decision, SetDecision)
        }
        for key, decision in self._decided.items():
            row = self.lp.row_of(decision.cut)
            if key not in wanted and row is not None:
                row.pinned = False
                self.lp.bound_row(row, 2, None)
        for key, decision in wanted.items():
            lower, upper = decision.sides
            row = self.lp.row_of(decision.cut)
            if row is None:
                self.lp.add_rows([Row(decision.cut, lower, upper, pinned=True)])
            elif self._decided.get(key) != decision or not row.pinned:
                row.pinned = True
                self.lp.bound_row(row, lower, upper)
        self._decided = wanted

    @contextmanager
    def _tried(self, decision: Decision) -> Iterator[None]:
        """The program and the bounds with one more decision, for a moment."""
        if isinstance(decision, EdgeDecision):
            with self._edge_tried(decision):
                yield
            return
        lower, upper = decision.sides
        row = self.lp.row_of(decision.cut)
        if row is None:
            self.lp.add_rows([Row(decision.cut, lower, upper)])
        else:
            self.lp.bound_row(row, lower, upper)
        try:
            yield
        finally:
            if row is None:
                self.lp.delete_rows([len(self.lp.rows) - 1])
            else:
                self.lp.bound_row(row, 2, None)

    @contextmanager
    def _edge_tried(self, decision: EdgeDecision) -> Iterator[None]:
        edge, side = decision.edge, int(decision.used)
        column = np.flatnonzero(self._edges == edge)
        before = self.lower[edge], self.upper[edge]
        self.lower[edge] = self.upper[edge] = side
        fixed = np.array([float(side)])
        self.lp.lp.bound_columns(column, fixed, fixed)
        try:
            yield
        finally:
            self.lower[edge], self.upper[edge] = before
            self.lp.lp.bound_columns(
                column, np.array([float(before[0])]), np.array([float(before[1])])
            )

"""The work on one node: cuts while they help, then branching."""

from __future__ import annotations

import math

from optimized_tsp.solvers.tsp.branching.node import EdgeDecision, Node
from optimized_tsp.solvers.tsp.branching.strong import branch
from optimized_tsp.solvers.tsp.branching.subproblem import Subproblem, Verdict
from optimized_tsp.solvers.tsp.relaxation.root import Core, RootListener, RootRelaxation
from optimized_tsp.solvers.tsp.relaxation.separation import Effort, Separator

__all__ = ["Worker"]

_TAIL = 0.03
_STALLS_BEFORE_LOCAL = 2
_MOST_ROUNDS = 200
_LOCAL = Effort(local_classes=8, local_seeds=15)
_PURGE_AGE = 2
_PURGE_AT_LEAST = 20
_BRANCHING_AGE = 1
_BRANCHING_AT_LEAST = 10


class Worker:
    """Processes nodes with a program of its own."""

    def __init__(
        self, relaxation: RootRelaxation, core: Core, seed: int, listener: RootListener
    ) -> None:
        self._listener = listener
        self._subproblem = Subproblem(
            relaxation.problem,
            core,
            relaxation.cuts,
            over=listener.over,
            upper_bound=listener.upper_bound,
        )
        self._separator = Separator(relaxation.order, seed, relaxation.pool, listener.over)

    def process(self, node: Node) -> list[Node] | None:
        """The children that hold all of the node's tours that may be cheaper than the best one.

        None if the node was not resolved: the search is over, or the program failed.
        """
        subproblem = self._subproblem
        if not subproblem.enter(node):
            return []
        verdict = self._cut()
        if verdict is Verdict.SOLVED and not self._listener.over():
            children = branch(subproblem, self._separator, node)
            return self._split(node) if children is None else children
        return [] if verdict is Verdict.PRUNED else None

    def _split(self, node: Node) -> list[Node] | None:
        """Children of a node whose solution is a tour, but with a bound that is below its cost.

        That is so when costs are so large that the program is not exact enough.
        """
        edge = self._subproblem.free_edge()
        if edge is None:
            return None
        bound = self._subproblem.bound
        return [node.child(bound, EdgeDecision(edge, used=used)) for used in (False, True)]

    def _cut(self) -> Verdict:
        """Solve and add cuts until they hardly help."""
        subproblem = self._subproblem
        effort, stalled, before = Effort(), 0, -math.inf
        for place in range(_MOST_ROUNDS):
            verdict = subproblem.solve(price=False)
            if verdict is not Verdict.SOLVED:
                return verdict
            if place % 2 == 1:
                self._purge(_PURGE_AGE, _PURGE_AT_LEAST)
            objective = subproblem.lp.objective
            stalled = 0 if objective - before >= self._least_gain(objective) else stalled + 1
            before = objective
            if effort is _LOCAL and stalled >= 1:
                break
            if stalled >= _STALLS_BEFORE_LOCAL:
                effort, stalled = _LOCAL, 0
            added = self._separator.add_violated(subproblem.lp, effort)
            if self._listener.over():
                return Verdict.STOPPED
            if added == 0:
                self._offer_tour()
                if effort is _LOCAL:
                    break
                effort, stalled = _LOCAL, 0
        return self._settle()

    def _settle(self) -> Verdict:
        """The node's bound with all core edges and without slack rows."""
        subproblem = self._subproblem
        verdict = subproblem.solve(price=True)
        if verdict is not Verdict.SOLVED:
            return verdict
        self._purge(_BRANCHING_AGE, _BRANCHING_AT_LEAST)
        return Verdict.PRUNED if subproblem.settle() else Verdict.SOLVED

    def _purge(self, age: int, at_least: int) -> None:
        self._separator.pool.add(self._subproblem.lp.purge(age, at_least))

    def _least_gain(self, objective: float) -> float:
        upper = self._listener.upper_bound()
        return _TAIL * (0.05 * abs(objective) if upper is None else max(upper - objective, 0.0))

    def _offer_tour(self) -> None:
        order = self._subproblem.lp.support().tour()
        if order is not None:
            self._listener.on_tour(order)

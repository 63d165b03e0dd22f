"""Between a solver and the outside: nothing unchecked gets out, nothing contradictory either."""

from __future__ import annotations

import logging
import operator
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from optimized_tsp.solvers.contract import (
    Incumbent,
    InvalidSolution,
    Outcome,
    SolutionStatus,
    StopReason,
    relative_gap,
)
from optimized_tsp.solvers.process.messages import Kind
from optimized_tsp.solvers.registry import AnySolver

__all__ = ["CheckedSolve", "ContractBroken"]


logger = logging.getLogger(__name__)

_LINE_EVERY_S = 0.2


class ContractBroken(Exception):
    """The solver contradicts itself, its instance or the truth; the message is for the public."""


class CheckedSolve:
    """Keeps the best checked solution and bound of one solve, and sends each improvement.

    `send` takes a kind of frame and its data; `abort` sends a fault and ends the process: an
    exception thrown into the native code that calls `on_incumbent` could be lost there, or worse.
    """

    def __init__(
        self,
        solver: AnySolver,
        instance: Any,
        *,
        started_at: float,
        send: Callable[[Kind, dict[str, Any]], None],
        abort: Callable[[BaseException], NoReturn],
    ) -> None:
        self._solver = solver
        self._instance = instance
        self._started_at = started_at
        self._send = send
        self._abort = abort
        self._best: Any = None
        self._lower_bound: int | None = None
        self._concluded = False
        self._line_due = 0.0
        self._lock = threading.Lock()

    def offer_start(self, start: Any) -> None:
        """Count a known solution as the first; raise `InvalidSolution` if it is none."""
        self._accept(start, start.cost)
        self._publish(improved=True, said="Known solution")

    def on_incumbent(self, incumbent: Incumbent[Any]) -> None:
        """What the solver reports to: checks, then sends what is better than before."""
        try:
            with self._lock:
                if not self._concluded:
                    self._take(incumbent)
        except BaseException as error:  # noqa: BLE001 - see the class: it must not reach the solver
            self._abort(error)

    def conclude(self, outcome: Outcome[Any]) -> dict[str, Any]:
        """The report on the solve; raise `ContractBroken` where the outcome claims too much."""
        with self._lock:
            self._concluded = True
            self._raise_bound(outcome.lower_bound)
            if outcome.solution is not None and outcome.solution != self._best:
                self._accept_from_solver(outcome.solution, outcome.cost)
            status, reason = self._verdict(outcome)
            certificate = outcome.infeasibility
            return self._known() | {
                "solution_status": status,
                "stop_reason": reason,
                "infeasibility": certificate.model_dump(mode="json") if certificate else None,
                "statistics": outcome.statistics or {},
            }

    def _take(self, incumbent: Incumbent[Any]) -> None:
        bound_rose = self._raise_bound(incumbent.lower_bound)
        solution, improved = incumbent.solution, False
        if solution is not None and (self._best is None or solution.cost < self._best.cost):
            self._accept_from_solver(solution, incumbent.cost)
            improved = True
        if improved or bound_rose:
            said = "Better solution" if improved else "Better bound"
            self._publish(improved=improved, said=said)

    def _accept_from_solver(self, solution: Any, cost: int | None) -> None:
        try:
            self._accept(solution, cost)
        except InvalidSolution as error:
            raise ContractBroken(f"The solver's answer failed the check: {error}") from error

    def _accept(self, solution: Any, cost: int | None) -> None:
        if cost is None or operator.index(cost) != solution.cost:
            raise InvalidSolution(f"its cost is {solution.cost}, it was reported as {cost}")
        self._solver.check(self._instance, solution)
        if self._best is None or solution.cost < self._best.cost:
            self._best = solution
        self._compare_with_bound()

    def _raise_bound(self, bound: int | None) -> bool:
        if bound is None or (self._lower_bound is not None and bound <= self._lower_bound):
            return False
        self._lower_bound = operator.index(bound)
        self._compare_with_bound()
        return True

    def _compare_with_bound(self) -> None:
        bound, best = self._lower_bound, self._best
        if best is not None and bound is not None and bound > best.cost:
            raise ContractBroken(
                f"The solver claimed a lower bound of {bound}, above a checked cost of {best.cost}."
            )

    def _publish(self, *, improved: bool, said: str) -> None:
        known = self._known(with_solution=improved)
        self._send(Kind.PROGRESS, known | {"improved": improved})
        if time.monotonic() >= self._line_due:
            self._line_due = time.monotonic() + _LINE_EVERY_S
            logger.info("%s: %s", said, _facts(known))

    def _known(self, *, with_solution: bool = True) -> dict[str, Any]:
        solution = None
        if with_solution and self._best is not None:
            solution = self._best.model_dump(mode="json")
        return {
            "solution": solution,
            "cost": None if self._best is None else self._best.cost,
            "lower_bound": self._lower_bound,
            "elapsed_s": time.monotonic() - self._started_at,
        }

    def _verdict(self, outcome: Outcome[Any]) -> tuple[SolutionStatus, StopReason]:
        """Status and reason that follow from what was checked, not from what was claimed."""
        status, reason = outcome.solution_status, outcome.stop_reason
        cost = None if self._best is None else self._best.cost
        if status is SolutionStatus.INFEASIBLE:
            if cost is not None:
                raise ContractBroken("The solver claimed infeasibility beside a checked solution.")
            return status, StopReason.PROVEN
        if cost is not None and cost == self._lower_bound:
            return SolutionStatus.OPTIMAL, StopReason.PROVEN
        if status is SolutionStatus.OPTIMAL or reason is StopReason.PROVEN:
            raise ContractBroken(
                f"The solver claimed a proof with cost {cost} and lower bound {self._lower_bound}."
            )
        if cost is None:
            return SolutionStatus.UNKNOWN, reason
        return SolutionStatus.FEASIBLE, reason


def _facts(known: dict[str, Any]) -> str:
    cost, bound = known["cost"], known["lower_bound"]
    gap = relative_gap(cost, bound)
    facts = [
        None if cost is None else f"cost {cost}",
        None if bound is None else f"lower bound {bound}",
        None if gap is None else f"gap {100 * gap:.3g} %",
    ]
    return ", ".join(fact for fact in facts if fact)

"""CP-SAT in a thread that can be left behind: it does not always stop when it is told to.

What has to be known about it:

- `stop_search()` before `solve()` has begun is lost, and heeding it may take seconds (in presolve);
- after a stop the status may say OPTIMAL or INFEASIBLE all the same, so a run that was stopped is
  worth only the bounds that it reported before;
- the objective is a double: beyond 2^53 it is off without a word, so bounds are read as integers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from optimized_tsp.solvers.tsp.search import Search

__all__ = ["BoolArray", "CpSatLimits", "CpSatResult", "CpSatRun", "settle"]

BoolArray = NDArray[np.bool_]

_POLL_S = 0.02
_GRACE_S = 0.25
_SHORTEST_S = 0.01
_EXACT_DOUBLE = 2.0**50


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class CpSatLimits:
    """The seed of a run, and when it ends beside the end of the search.

    `outdated` is asked many times a second; `work` is in CP-SAT's deterministic seconds, the same
    on every machine; `first_only` ends a run with its first solution.
    """

    seed: int
    outdated: Callable[[], bool] = _never
    work: float | None = None
    first_only: bool = False


@dataclass(frozen=True, slots=True)
class CpSatResult:
    """What was proven about tours on the given edges; tours found were offered to the search.

    No tour on these edges costs less than `lower_bound`; with `no_tour` there is none at all.
    """

    lower_bound: int | None = None
    no_tour: bool = False


class CpSatRun:
    """The solver behind one model or several ones, stoppable between and during them.

    One worker: more of them share the cores with strategies that prove nothing here (and with the
    tour heuristic). Costs in a model are `left_out` less than those of tours.
    """

    def __init__(
        self,
        search: Search,
        limits: CpSatLimits,
        *,
        left_out: int,
        on_bound: Callable[[int], None],
    ) -> None:
        self.stopped = False
        self._search = search
        self._limits = limits
        self._left_out = left_out
        self._on_bound = on_bound
        self._left = False
        self._solver = cp_model.CpSolver()

    def outdated(self) -> bool:
        """Whether what it works on is of no interest any more."""
        return self._limits.outdated()

    def stop(self) -> None:
        """Ask to stop; again and again, since one that comes too early is lost."""
        self.stopped = True
        self._solver.stop_search()

    def leave(self) -> None:
        """Hear nothing more of it."""
        self.stopped = self._left = True

    def solve(
        self,
        model: cp_model.CpModel,
        literals: list[cp_model.IntVar],
        on_solution: Callable[[BoolArray], None],
    ) -> CpSatResult | None:
        """Solve one model: what is proven about it, None when the run was stopped.

        `on_solution` gets the values of the literals for every better solution.
        """
        if self.stopped:
            return None
        self._solver = solver = cp_model.CpSolver()
        parameters = solver.parameters
        parameters.num_workers = 1
        parameters.linearization_level = 2
        parameters.random_seed = self._limits.seed
        parameters.stop_after_first_solution = self._limits.first_only
        if self._limits.work is not None:
            parameters.max_deterministic_time = self._limits.work
        parameters.max_time_in_seconds = max(_SHORTEST_S, self._search.remaining())
        solver.best_bound_callback = self._take_bound
        status = solver.solve(model, _Listener(literals, self._unless_left(on_solution)))
        if status == cp_model.MODEL_INVALID:
            raise AssertionError(f"invalid CP-SAT model: {model.validate()}")
        if self._was_stopped():
            return None
        if status == cp_model.INFEASIBLE:
            return CpSatResult(no_tour=True)
        return CpSatResult(self._left_out + solver.response_proto.inner_objective_lower_bound)

    def _was_stopped(self) -> bool:
        return self.stopped  # by another thread

    def _take_bound(self, bound: float) -> None:
        if not self._left and abs(bound) < _EXACT_DOUBLE:
            self._on_bound(self._left_out + math.floor(bound + 1e-6))

    def _unless_left(self, on_solution: Callable[[BoolArray], None]) -> Callable[[BoolArray], None]:
        def hear(used: BoolArray) -> None:
            if not self._left:
                on_solution(used)

        return hear


class _Listener(cp_model.CpSolverSolutionCallback):
    """Reads the literals of a new solution."""

    def __init__(
        self, literals: list[cp_model.IntVar], on_solution: Callable[[BoolArray], None]
    ) -> None:
        super().__init__()
        self._literals = literals
        self._on_solution = on_solution

    def on_solution_callback(self) -> None:
        self._on_solution(np.array([self.boolean_value(literal) for literal in self._literals]))


def settle(
    search: Search,
    run: CpSatRun,
    work: Callable[[], CpSatResult],
) -> CpSatResult:
    """The result of `work`, which uses `run`; an empty one when the search is over before.

    Returns within half a second of the end of the search, or of its being outdated: what CP-SAT is
    still busy with then is left behind, unheard.
    """
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cp-sat")
    result = executor.submit(work)
    executor.shutdown(wait=False)
    leave_at = math.inf
    while not result.done() and time.monotonic() < leave_at:
        if search.over() or run.outdated():
            run.stop()
            leave_at = min(leave_at, time.monotonic() + _GRACE_S)
        wait([result], timeout=_POLL_S)
    if result.done():
        return result.result()
    run.leave()
    return CpSatResult()

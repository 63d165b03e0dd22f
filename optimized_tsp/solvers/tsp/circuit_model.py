"""CP-SAT on a set of arcs: proves a tour optimal, finds better ones, or rules all tours out.

One 0-1 variable an arc and `add_circuit`. See docs/decisions/0003-tsp-model.md for why it is this
model, with one worker, on the arcs that the Held-Karp bound leaves over.
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

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.search import Search

__all__ = ["CircuitResult", "solve_circuit"]

_POLL_S = 0.02
_GRACE_S = 0.25
_SHORTEST_S = 0.01
_EXACT_DOUBLE = 2.0**50


@dataclass(frozen=True, slots=True)
class CircuitResult:
    """What was proven about tours on the given arcs; tours found were offered to the search.

    No tour on these arcs costs less than `lower_bound`; with `no_tour` there is none at all.
    """

    lower_bound: int | None = None
    no_tour: bool = False


def solve_circuit(
    search: Search,
    source: IntArray,
    target: IntArray,
    *,
    seed: int,
    on_bound: Callable[[int], None],
    outdated: Callable[[], bool],
) -> CircuitResult:
    """Search tours on these arcs until it is settled, `outdated()`, or the search is over.

    The best tour so far is the hint; its arcs should be among the given ones. `on_bound` gets
    rising lower bounds of tours on these arcs. Returns within half a second of the end of the
    search: what CP-SAT is still busy with then is left behind, unheard.
    """
    run = _Run(search, source, target, seed=seed, on_bound=on_bound)
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cp-sat")
    result = executor.submit(run.solve)
    executor.shutdown(wait=False)
    leave_at = math.inf
    while not result.done() and time.monotonic() < leave_at:
        if search.over() or outdated():
            # Again and again: a stop before the search has started is lost.
            run.stop()
            leave_at = min(leave_at, time.monotonic() + _GRACE_S)
        wait([result], timeout=_POLL_S)
    if result.done():
        return result.result()
    run.leave()
    return CircuitResult()


class _Run:
    """Builds the model and solves it, in a thread of its own; may be left behind at any time."""

    def __init__(
        self,
        search: Search,
        source: IntArray,
        target: IntArray,
        *,
        seed: int,
        on_bound: Callable[[int], None],
    ) -> None:
        self._search = search
        self._source = source
        self._target = target
        self._on_bound = on_bound
        self._left = False
        # Every tour leaves every node once, so what that costs at least is left out of the model:
        # smaller numbers are kinder to its linear relaxation.
        costs = search.graph.between(source, target)
        least = np.full(search.graph.num_nodes, NO_EDGE)
        np.minimum.at(least, source, costs)
        self._reduced = costs - least[source]
        self._left_out = int(least.sum())
        self._solver = cp_model.CpSolver()
        # More workers share the cores with less useful strategies (and with the tour heuristic).
        self._solver.parameters.num_workers = 1
        self._solver.parameters.linearization_level = 2
        self._solver.parameters.random_seed = seed
        self._solver.best_bound_callback = self._take_bound

    def stop(self) -> None:
        self._solver.stop_search()

    def leave(self) -> None:
        self._left = True

    def solve(self) -> CircuitResult:
        model = cp_model.CpModel()
        literals = self._build(model)
        if self._left:
            return CircuitResult()
        self._solver.parameters.max_time_in_seconds = max(_SHORTEST_S, self._search.remaining())
        status = self._solver.solve(model, _Listener(literals, self._take_tour))
        if status == cp_model.MODEL_INVALID:
            raise AssertionError(f"invalid CP-SAT model: {model.validate()}")
        if status == cp_model.INFEASIBLE:
            return CircuitResult(no_tour=True)
        # The integer, not the double beside it, which may be a unit off from 2^52 on.
        bound = self._solver.response_proto.inner_objective_lower_bound
        return CircuitResult(self._left_out + bound)

    def _build(self, model: cp_model.CpModel) -> list[cp_model.IntVar]:
        source, target = self._source, self._target
        literals = [model.new_bool_var("") for _ in range(len(source))]
        model.add_circuit(list(zip(source.tolist(), target.tolist(), literals, strict=True)))
        model.minimize(cp_model.LinearExpr.weighted_sum(literals, self._reduced.tolist()))
        tour = self._search.tour
        if tour is not None:
            successor = np.empty_like(tour)
            successor[tour] = np.roll(tour, -1)
            for literal, used in zip(literals, (successor[source] == target).tolist(), strict=True):
                model.add_hint(literal, used)
        return literals

    def _take_bound(self, bound: float) -> None:
        if not self._left and abs(bound) < _EXACT_DOUBLE:
            self._on_bound(self._left_out + math.floor(bound + 1e-6))

    def _take_tour(self, used: NDArray[np.bool_]) -> None:
        if self._left:
            return
        source, target = self._source[used].tolist(), self._target[used].tolist()
        successor = dict(zip(source, target, strict=True))
        order = [0]
        while (node := successor[order[-1]]) != 0:
            order.append(node)
        if len(order) != self._search.graph.num_nodes:
            raise AssertionError(f"CP-SAT's circuit visits only {len(order)} nodes")
        self._search.offer_tour(np.array(order))


class _Listener(cp_model.CpSolverSolutionCallback):
    """Reads which arcs a new solution uses."""

    def __init__(
        self, literals: list[cp_model.IntVar], on_arcs: Callable[[NDArray[np.bool_]], None]
    ) -> None:
        super().__init__()
        self._literals = literals
        self._on_arcs = on_arcs

    def on_solution_callback(self) -> None:
        self._on_arcs(np.array([self.boolean_value(literal) for literal in self._literals]))

"""CP-SAT on a set of arcs: proves a tour optimal, finds better ones, or rules all tours out.

One 0-1 variable an arc and `add_circuit`. See docs/decisions/0003-tsp-model.md for why it is this
model, with one worker, on the arcs that the Held-Karp bound leaves over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.search import Search

__all__ = ["CircuitResult", "solve_circuit"]

_POLL_S = 0.02
_GRACE_S = 0.25


@dataclass(frozen=True, slots=True)
class CircuitResult:
    """What was proven about tours on the given arcs; tours found were offered to the search.

    No tour on these arcs costs less than `lower_bound`; with `no_tour` there is none at all.
    """

    lower_bound: int | None
    no_tour: bool


def solve_circuit(
    search: Search,
    source: IntArray,
    target: IntArray,
    *,
    seed: int,
    on_bound: Callable[[int], None],
) -> CircuitResult:
    """Search tours on these arcs until it is settled or the search is over.

    The best tour so far is the hint; its arcs should be among the given ones. `on_bound` gets
    rising lower bounds of tours on these arcs. Returns within half a second of the end of the
    search: what CP-SAT is still busy with then is left behind, unheard.
    """
    circuit = _Circuit(search, source, target)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.linearization_level = 2
    solver.parameters.random_seed = seed
    solver.parameters.max_time_in_seconds = max(0.01, search.remaining())
    listener = _Listener(circuit, on_bound)
    solver.best_bound_callback = listener.on_bound
    with_status = _run(search, solver, circuit.model, listener)
    if with_status is None:
        return CircuitResult(None, no_tour=False)
    if with_status == cp_model.MODEL_INVALID:
        raise AssertionError(f"invalid CP-SAT model: {circuit.model.validate()}")
    if with_status == cp_model.INFEASIBLE:
        return CircuitResult(None, no_tour=True)
    return CircuitResult(_whole(solver.best_objective_bound), no_tour=False)


def _run(
    search: Search, solver: cp_model.CpSolver, model: cp_model.CpModel, listener: _Listener
) -> cp_model.CpSolverStatus | None:
    """Run in a thread, stop it when the search is over, leave it when it does not stop."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cp-sat")
    status: Future[cp_model.CpSolverStatus] = executor.submit(solver.solve, model, listener)
    executor.shutdown(wait=False)
    leave_at = math.inf
    while not status.done() and time.monotonic() < leave_at:
        if search.over():
            # Again and again: a stop before the search has started is lost.
            solver.stop_search()
            leave_at = min(leave_at, time.monotonic() + _GRACE_S)
        wait([status], timeout=_POLL_S)
    listener.muted = True
    return status.result() if status.done() else None


def _whole(bound: float) -> int | None:
    """A bound as an integer; costs are integers below 2^53, so doubles hold it exactly."""
    return math.floor(bound + 1e-6) if math.isfinite(bound) else None


class _Circuit:
    """The model, and how to read a tour from its literals."""

    def __init__(self, search: Search, source: IntArray, target: IntArray) -> None:
        self.search = search
        self.source = source
        self.target = target
        self.model = cp_model.CpModel()
        self.literals = [self.model.new_bool_var("") for _ in range(len(source))]
        arcs = zip(source.tolist(), target.tolist(), self.literals, strict=True)
        self.model.add_circuit(list(arcs))
        costs = search.graph.between(source, target).tolist()
        self.model.minimize(cp_model.LinearExpr.weighted_sum(self.literals, costs))
        if search.tour is not None:
            self._hint(search.tour)

    def _hint(self, tour: IntArray) -> None:
        successor = np.empty_like(tour)
        successor[tour] = np.roll(tour, -1)
        used = successor[self.source] == self.target
        for literal, value in zip(self.literals, used.tolist(), strict=True):
            self.model.add_hint(literal, value)

    def follow(self, used: NDArray[np.bool_]) -> IntArray:
        """The tour made of the arcs in use, from node 0."""
        successor = dict(zip(self.source[used].tolist(), self.target[used].tolist(), strict=True))
        order = [0]
        while (node := successor[order[-1]]) != 0:
            order.append(node)
        if len(order) != self.search.graph.num_nodes:
            raise AssertionError(f"CP-SAT's circuit visits only {len(order)} nodes")
        return np.array(order)


class _Listener(cp_model.CpSolverSolutionCallback):
    """Passes on what CP-SAT finds while it runs, until it is muted."""

    def __init__(self, circuit: _Circuit, on_bound: Callable[[int], None]) -> None:
        super().__init__()
        self._circuit = circuit
        self._on_bound = on_bound
        self.muted = False

    def on_solution_callback(self) -> None:
        if not self.muted:
            used = np.array([self.boolean_value(literal) for literal in self._circuit.literals])
            self._circuit.search.offer_tour(self._circuit.follow(used))

    def on_bound(self, bound: float) -> None:
        whole = _whole(bound)
        if not self.muted and whole is not None:
            self._on_bound(whole)

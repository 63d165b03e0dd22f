"""What is known in the middle of a solve, and when to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from optimized_tsp.solvers.contract import Incumbent, InfeasibilityCertificate, StopSignal
from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.graph import Graph, tour_cost
from optimized_tsp.solvers.tsp.schemas import TspSolution

__all__ = ["Search"]


class Search:
    """The best tour and bound so far, the deadline, and the listener.

    Tours are priced here, exactly, whoever found them and whatever they say they cost. Safe to use
    from several threads; the listener is never called concurrently.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        started: float,
        deadline: float,
        stop: StopSignal,
        on_incumbent: Callable[[Incumbent[TspSolution]], None],
    ) -> None:
        self.graph = graph
        self.tour: IntArray | None = None
        self.cost: int | None = None
        self.lower_bound: int | None = None
        self.infeasibility: InfeasibilityCertificate | None = None
        self.statistics: dict[str, Any] = {}
        self._started = started
        self._deadline = deadline
        self._stop = stop
        self._on_incumbent = on_incumbent
        self._closed = False
        self._lock = threading.Lock()

    def offer_tour(self, order: IntArray) -> bool:
        """Take a tour (every node once, from anywhere) when it is one and the best so far."""
        cost = tour_cost(self.graph, order)
        with self._lock:
            if self._closed or cost is None or (self.cost is not None and cost >= self.cost):
                return False
            self.tour = np.roll(order, -int(np.flatnonzero(order == 0)[0]))
            self.cost = cost
            self.statistics.setdefault("time_to_first_tour_s", self.elapsed())
            self.statistics["time_to_best_s"] = self.elapsed()
            self._on_incumbent(Incumbent(self.solution(), self.cost, self.lower_bound))
            return True

    def raise_bound(self, lower_bound: int) -> None:
        """Take a bound proven on the full problem when it is the best so far."""
        with self._lock:
            if self._closed or (self.lower_bound is not None and lower_bound <= self.lower_bound):
                return
            if self.cost is not None and lower_bound > self.cost:
                raise AssertionError(f"bound {lower_bound} above a tour of cost {self.cost}")
            self.lower_bound = lower_bound
            self._on_incumbent(Incumbent(None, self.cost, self.lower_bound))

    def close(self) -> None:
        """Take nothing more and call nobody any more: the answer is being given."""
        with self._lock:
            self._closed = True

    def rule_out_tours(self) -> None:
        """Take a proof that there is no tour at all."""
        if self.cost is not None:
            raise AssertionError("no tour can exist, but one is known")
        message = "A complete search found that no tour exists."
        self.infeasibility = InfeasibilityCertificate(kind="no_tour", nodes=[], message=message)

    def note(self, name: str, value: float | str | None) -> None:
        """Keep a fact for the statistics."""
        self.statistics[name] = value

    def add_to(self, name: str, value: float) -> None:
        """Add up a fact for the statistics."""
        self.statistics[name] = round(self.statistics.get(name, 0) + value, 3)

    def solution(self) -> TspSolution | None:
        """The best tour so far as the public schema has it."""
        if self.tour is None or self.cost is None:
            return None
        return TspSolution(node_order=self.tour.tolist(), cost=self.cost)

    @property
    def proven(self) -> bool:
        """The best tour costs exactly what is proven to be the least possible."""
        return self.cost is not None and self.cost == self.lower_bound

    def cancelled(self) -> bool:
        return self._stop.is_set()

    def elapsed(self) -> float:
        """Seconds since the solve began, rounded to milliseconds."""
        return round(time.monotonic() - self._started, 3)

    def remaining(self) -> float:
        """Seconds of work left before the time limit; may be negative."""
        return self._deadline - time.monotonic()

    def over(self) -> bool:
        """Nothing is left to do, or no time to do it."""
        return (
            self.proven
            or self.infeasibility is not None
            or self.remaining() <= 0
            or self.cancelled()
        )

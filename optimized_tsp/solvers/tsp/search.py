"""What is known in the middle of a solve, and when to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimized_tsp.solvers.contract import (
    Incumbent,
    InfeasibilityCertificate,
    StopReason,
    StopSignal,
    relative_gap,
)
from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.graph import Graph, tour_cost
from optimized_tsp.solvers.tsp.schemas import TspSolution

__all__ = ["Limits", "Search"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop; moments by `time.monotonic()`, durations in seconds."""

    deadline: float
    gap_limit: float | None = None
    no_improvement_s: float | None = None
    cost_offset: int = 0
    """What every tour costs beyond what the graph says (fixed edges); the gap counts it."""


_MESSAGE_CHARS = 300


class Search:
    """The best tour and bound so far, the limits, and the listener.

    Tours are priced here, exactly, whoever found them and whatever they say they cost. Safe to use
    from several threads; the listener is never called concurrently.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        started: float,
        limits: Limits,
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
        self._limits = limits
        self._stop = stop
        self._on_incumbent = on_incumbent
        self._improved_at: float | None = None
        self._bound_by = ""
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
            self._improved_at = time.monotonic()
            self.statistics.setdefault("time_to_first_tour_s", self.elapsed())
            self.statistics["time_to_best_s"] = self.elapsed()
            self._note_proof()
            self._on_incumbent(Incumbent(self.solution(), self.cost, self.lower_bound))
            return True

    def raise_bound(self, lower_bound: int, by: str) -> None:
        """Take a bound proven on the full problem when it is the best so far; `by` whom."""
        with self._lock:
            if self._closed or (self.lower_bound is not None and lower_bound <= self.lower_bound):
                return
            if self.cost is not None and lower_bound > self.cost:
                raise AssertionError(f"bound {lower_bound} above a tour of cost {self.cost}")
            self.lower_bound = lower_bound
            self._bound_by = by
            self._note_proof()
            self._on_incumbent(Incumbent(None, self.cost, self.lower_bound))

    def close(self) -> None:
        """Take nothing more and call nobody any more: the answer is being given."""
        with self._lock:
            self._closed = True

    def rule_out_tours(self, by: str) -> None:
        """Take a complete search's proof that there is no tour at all."""
        message = "A complete search found that no tour exists."
        certificate = InfeasibilityCertificate(kind="no_tour", nodes=[], message=message)
        self.take_certificate(certificate, by)

    def take_certificate(self, certificate: InfeasibilityCertificate, by: str) -> None:
        """Take a proof that there is no tour at all."""
        if self.cost is not None:
            raise AssertionError("no tour can exist, but one is known")
        self.infeasibility = certificate
        self.note("proven_by", by)

    def note_failure(self, part: str, error: BaseException) -> None:
        """Keep what went wrong in a part that something else makes up for, and log it."""
        logger.warning("%s failed, going on without it", part, exc_info=error)
        self.note(f"{part}_failure", f"{type(error).__name__}: {error}"[:_MESSAGE_CHARS])

    def note(self, name: str, value: float | str | None) -> None:
        """Keep a fact for the statistics; None is none."""
        if value is not None:
            self.statistics[name] = value
            logger.info("%s: %s", name.replace("_", " "), value)

    def add_to(self, name: str, value: float) -> None:
        """Add up a fact for the statistics."""
        with self._lock:
            self.statistics[name] = round(self.statistics.get(name, 0) + value, 3)

    def _note_proof(self) -> None:
        if self.proven:
            self.statistics["proven_by"] = self._bound_by

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
        return self._limits.deadline - time.monotonic()

    def over(self) -> bool:
        """Nothing is left to do, or a limit is reached."""
        return self.proven or self.infeasibility is not None or self.limit_reached() is not None

    def limit_reached(self) -> StopReason | None:
        """The limit that ends the search, None while none does."""
        if self.cancelled():
            return StopReason.CANCELLED
        limits, gap = self._limits, self._gap()
        if gap is not None and limits.gap_limit is not None and gap <= limits.gap_limit:
            return StopReason.GAP_LIMIT
        if self.remaining() <= 0:
            return StopReason.TIME_LIMIT
        idle_s, since = limits.no_improvement_s, self._improved_at
        if idle_s is not None and since is not None and time.monotonic() - since >= idle_s:
            return StopReason.NO_IMPROVEMENT
        return None

    def _gap(self) -> float | None:
        cost, bound, offset = self.cost, self.lower_bound, self._limits.cost_offset
        if cost is None or bound is None:
            return None
        return relative_gap(cost + offset, bound + offset)

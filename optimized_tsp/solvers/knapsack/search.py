"""What is known in the middle of a solve, and when to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from optimized_tsp.solvers.contract import Incumbent, StopSignal
from optimized_tsp.solvers.knapsack.relaxation import Candidates
from optimized_tsp.solvers.knapsack.schemas import KnapsackSolution

__all__ = ["Search"]


class Search:
    """The best selection and bound so far, the deadline, and the listener.

    Inside values are maximised; costs (the value left behind) are what the outside hears. Safe to
    use from several threads; the listener is never called concurrently.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        total_value: int,
        deadline: float,
        stop: StopSignal,
        on_incumbent: Callable[[Incumbent[KnapsackSolution]], None],
    ) -> None:
        self.candidates = candidates
        self.taken: frozenset[int] = frozenset()
        self.value = -1
        self.value_bound = total_value
        self.stop = stop
        self._total_value = total_value
        self._deadline = deadline
        self._on_incumbent = on_incumbent
        self._lock = threading.Lock()

    def offer(self, taken: Iterable[int]) -> bool:
        """Take a selection (of candidates' places) when it fits and is the best so far."""
        chosen = frozenset(taken)
        value = sum(self.candidates.values[place] for place in chosen)
        weight = sum(self.candidates.weights[place] for place in chosen)
        with self._lock:
            if weight > self.candidates.capacity or value <= self.value:
                return False
            self.taken, self.value = chosen, value
            self._on_incumbent(Incumbent(self.solution(), self.cost, self.lower_bound))
            return True

    def limit_value(self, value_bound: int) -> None:
        """Take a proven bound on the value of every selection when it is the best so far."""
        with self._lock:
            if value_bound >= self.value_bound:
                return
            self.value_bound = value_bound
            self._on_incumbent(Incumbent(None, self.cost, self.lower_bound))

    @property
    def cost(self) -> int | None:
        """Value left behind by the best selection; None while there is none."""
        return None if self.value < 0 else self._total_value - self.value

    @property
    def lower_bound(self) -> int:
        """Value that every selection leaves behind."""
        return self._total_value - self.value_bound

    def solution(self) -> KnapsackSolution:
        """The best selection so far as the public schema has it."""
        numbers = self.candidates.numbers
        return KnapsackSolution(
            items=sorted(numbers[place] for place in self.taken),
            value=self.value,
            weight=sum(self.candidates.weights[place] for place in self.taken),
            cost=self._total_value - self.value,
        )

    @property
    def proven(self) -> bool:
        """Nothing is worth more than the best selection."""
        return self.value == self.value_bound

    def remaining(self) -> float:
        """Seconds left before the time limit; may be negative."""
        return self._deadline - time.monotonic()

    def over(self) -> bool:
        """Nothing is left to do, or no time to do it."""
        return self.proven or self.remaining() <= 0 or self.stop.is_set()

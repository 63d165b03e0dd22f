"""Solving in this process, with everything the solver reported along the way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from optimized_tsp.solvers.contract import Incumbent, Outcome
from optimized_tsp.solvers.knapsack import (
    KnapsackInstance,
    KnapsackParameters,
    KnapsackSolution,
    KnapsackSolver,
)


@dataclass
class Solve:
    """One solve: its reports in order, and how it ended."""

    stop: threading.Event = field(default_factory=threading.Event)
    stop_at_first: bool = False
    reports: list[Incumbent[KnapsackSolution]] = field(default_factory=list)

    def run(
        self,
        instance: KnapsackInstance,
        *,
        timeout: float = 30.0,
        threads: int = 1,
        seed: int = 0,
        start: KnapsackSolution | None = None,
    ) -> Outcome[KnapsackSolution]:
        return KnapsackSolver().solve(
            instance,
            KnapsackParameters(timeout=timeout, threads=threads),
            seed=seed,
            stop=self.stop,
            on_incumbent=self._note,
            start=start,
        )

    def _note(self, report: Incumbent[KnapsackSolution]) -> None:
        self.reports.append(report)
        if self.stop_at_first:
            self.stop.set()

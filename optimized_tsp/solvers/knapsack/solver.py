"""The solver behind the contract: instance in, greedy selection, proof, outcome out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from optimized_tsp.solvers.contract import (
    Example,
    Incumbent,
    InstanceSize,
    Outcome,
    SolutionStatus,
    StopReason,
    StopSignal,
)
from optimized_tsp.solvers.knapsack.check import check_selection
from optimized_tsp.solvers.knapsack.core import CoreSearch
from optimized_tsp.solvers.knapsack.examples import hard_example, hike_example
from optimized_tsp.solvers.knapsack.relaxation import Candidates, Relaxation
from optimized_tsp.solvers.knapsack.schemas import (
    KnapsackInstance,
    KnapsackParameters,
    KnapsackSolution,
)
from optimized_tsp.solvers.knapsack.search import Search
from optimized_tsp.solvers.knapsack.validation import validate_instance

__all__ = ["KnapsackSolver"]

# For CP-SAT to notice that the time is up.
_RESERVE_S = 0.1
_RESERVED_SHARE = 0.05


class KnapsackSolver:
    """The most valuable selection of items that fits, with a proof where time allows."""

    name: ClassVar[str] = "knapsack"
    version: ClassVar[str] = "v1"
    instance_field: ClassVar[str] = "instance"
    instance_type = KnapsackInstance
    parameters_type = KnapsackParameters
    solution_type = KnapsackSolution

    def size(self, instance: KnapsackInstance) -> InstanceSize:
        return InstanceSize(num_nodes=len(instance.items), num_edges=None, counts="items")

    def validate(self, instance: KnapsackInstance) -> None:
        validate_instance(instance)

    def examples(self) -> list[Example]:
        return [hike_example(), hard_example()]

    def solve(
        self,
        instance: KnapsackInstance,
        parameters: KnapsackParameters,
        *,
        seed: int,
        stop: StopSignal,
        on_incumbent: Callable[[Incumbent[KnapsackSolution]], None],
        start: KnapsackSolution | None,
    ) -> Outcome[KnapsackSolution]:
        reserve_s = min(_RESERVE_S, _RESERVED_SHARE * parameters.timeout)
        deadline = time.monotonic() + parameters.timeout - reserve_s
        candidates = Candidates.of(instance)
        search = Search(
            candidates,
            total_value=sum(item.value for item in instance.items),
            deadline=deadline,
            stop=stop,
            on_incumbent=on_incumbent,
        )
        if start is not None:
            self.check(instance, start)
            taken = set(start.items)
            search.offer(i for i, number in enumerate(candidates.numbers) if number in taken)
        search.offer(candidates.greedy())
        relaxation = Relaxation.at_break_item(candidates)
        search.limit_value(relaxation.value_bound)
        statistics: dict[str, Any] = {"engine": "cp_sat", "root_bound": search.lower_bound}
        cores = CoreSearch(search, relaxation, seed=seed, threads=parameters.threads or 1)
        began = time.monotonic()
        cores.run()
        statistics |= {"cp_sat_s": round(time.monotonic() - began, 3), "cores": cores.cores}
        if search.proven:
            at_root = search.lower_bound == statistics["root_bound"]
            statistics["proven_by"] = "relaxation" if at_root else "cp_sat"
        return _outcome(search, statistics)

    def check(self, instance: KnapsackInstance, solution: KnapsackSolution) -> None:
        check_selection(instance, solution)


def _outcome(search: Search, statistics: dict[str, Any]) -> Outcome[KnapsackSolution]:
    if search.proven:
        status, reason = SolutionStatus.OPTIMAL, StopReason.PROVEN
    else:
        status = SolutionStatus.FEASIBLE
        reason = StopReason.CANCELLED if search.stop.is_set() else StopReason.TIME_LIMIT
    return Outcome(
        status,
        reason,
        solution=search.solution(),
        cost=search.cost,
        lower_bound=search.lower_bound,
        statistics=statistics | {"candidates": len(search.candidates.numbers)},
    )

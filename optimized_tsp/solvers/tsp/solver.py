"""The solver behind the contract: instance in, tours and bounds on the way, outcome out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optimized_tsp.solvers.contract import (
    Diagnosis,
    Example,
    Incumbent,
    InfeasibilityCertificate,
    InstanceSize,
    Notice,
    Outcome,
    SolutionStatus,
    StopReason,
    StopSignal,
)
from optimized_tsp.solvers.tsp.check import check_tour
from optimized_tsp.solvers.tsp.diagnosis import diagnose_instance, find_notices
from optimized_tsp.solvers.tsp.examples import load_examples
from optimized_tsp.solvers.tsp.formats import BESIDE, READERS, WRITERS
from optimized_tsp.solvers.tsp.initial_tour import check_initial_tour
from optimized_tsp.solvers.tsp.parameters import TspParameters
from optimized_tsp.solvers.tsp.schemas import TspInstance, TspSolution
from optimized_tsp.solvers.tsp.validation import validate_instance

if TYPE_CHECKING:
    from optimized_tsp.solvers.tsp.graph import Graph
    from optimized_tsp.solvers.tsp.plan import Plan
    from optimized_tsp.solvers.tsp.search import Search

__all__ = ["TspSolver"]

_COSTS_IN_STATISTICS = frozenset({"first_tour_cost", "held_karp_bound", "root_bound"})

_RESERVE_S = 0.05
"""Kept back from the time limit for handing over the result."""


class TspSolver:
    """Tours of symmetric, asymmetric and sparse instances, with a proof where time allows."""

    name: ClassVar[str] = "tsp"
    version: ClassVar[str] = "v1"
    instance_field: ClassVar[str] = "tsp_instance"
    instance_type = TspInstance
    parameters_type = TspParameters
    solution_type = TspSolution
    readers = READERS
    writers = WRITERS
    beside = BESIDE

    def size(self, instance: TspInstance) -> InstanceSize:
        if instance.edges is not None:
            return InstanceSize(instance.node_count, len(instance.edges))
        if instance.matrix is not None:
            present = sum(len(row) - row.count(None) for row in instance.matrix)
            diagonal = sum(None not in row[i : i + 1] for i, row in enumerate(instance.matrix))
            return InstanceSize(instance.node_count, present - diagonal)
        if instance.tsplib is not None:
            return _size_of_file(instance)
        return InstanceSize(instance.node_count, None)

    def announced_size(self, instance: TspInstance) -> InstanceSize:
        if instance.tsplib is None:
            return self.size(instance)
        from optimized_tsp.solvers.tsp.tsplib import announced_size

        return InstanceSize(*announced_size(instance.tsplib))

    def validate(self, instance: TspInstance) -> None:
        validate_instance(instance)

    def validate_parameters(self, instance: TspInstance, parameters: TspParameters) -> None:
        if parameters.initial_tour is not None:
            check_initial_tour(instance, parameters.initial_tour)

    def examples(self) -> list[Example]:
        return load_examples()

    def notices(self, instance: TspInstance) -> list[Notice]:
        return find_notices(instance)

    def diagnose(self, instance: TspInstance) -> Diagnosis:
        return diagnose_instance(instance)

    def check(self, instance: TspInstance, solution: TspSolution) -> None:
        check_tour(instance, solution)

    def solve(
        self,
        instance: TspInstance,
        parameters: TspParameters,
        *,
        seed: int,
        stop: StopSignal,
        on_incumbent: Callable[[Incumbent[TspSolution]], None],
        start: TspSolution | None,
    ) -> Outcome[TspSolution]:
        """Solve within the time limit; see the contract.

        What neither CP-SAT nor fast-tsp could be stopped in is left behind for at most a few
        seconds. Raises `InvalidInstance`, `InvalidParameters`, and `InvalidSolution` when `start`
        is no solution.
        """
        from optimized_tsp.solvers.tsp.graph import build_graph
        from optimized_tsp.solvers.tsp.reduction import reduce_instance

        task = _Task(time.monotonic(), parameters, seed, stop)
        validate_instance(instance)
        orders = []
        if start is not None:
            check_tour(instance, start)
            orders.append(start.node_order)
        if parameters.initial_tour is not None:
            orders.append(check_initial_tour(instance, parameters.initial_tour))
        graph = build_graph(instance)
        reduction = reduce_instance(instance, graph, seconds=parameters.timeout)
        if isinstance(reduction, InfeasibilityCertificate):
            return Outcome(SolutionStatus.INFEASIBLE, StopReason.PROVEN, infeasibility=reduction)
        orders = [reduction.shorten(order) for order in orders]
        if not orders and reduction.known_tour is not None:
            orders.append(reduction.known_tour)
        report = reduction.reporting_to(on_incumbent)
        return reduction.outcome(
            _solve_graph(task, reduction.graph, orders, report, cost_offset=reduction.offset)
        )


@dataclass(frozen=True, slots=True)
class _Task:
    """What is asked of one solve, and since when (`time.monotonic()`)."""

    started: float
    parameters: TspParameters
    seed: int
    stop: StopSignal


def _solve_graph(
    task: _Task,
    graph: Graph,
    orders: list[list[int]],
    on_incumbent: Callable[[Incumbent[TspSolution]], None],
    *,
    cost_offset: int = 0,
) -> Outcome[TspSolution]:
    """The outcome for a graph whose tours cost `cost_offset` more, beginning with these tours."""
    import numpy as np

    from optimized_tsp.solvers.tsp.plan import Plan
    from optimized_tsp.solvers.tsp.search import Limits, Search
    from optimized_tsp.solvers.tsp.strategy import run

    parameters = task.parameters
    reserve = min(_RESERVE_S, 0.1 * parameters.timeout)
    search = Search(
        graph,
        started=task.started,
        limits=Limits(
            deadline=task.started + parameters.timeout - reserve,
            gap_limit=parameters.gap_limit,
            no_improvement_s=parameters.no_improvement_timeout,
            cost_offset=cost_offset,
        ),
        stop=task.stop,
        on_incumbent=on_incumbent,
    )
    for order in orders:
        search.offer_tour(np.array(order))
    plan = Plan(
        engine=parameters.engine,
        threads=1 if parameters.deterministic else parameters.threads or 1,
        seed=task.seed,
        deterministic=parameters.deterministic,
    )
    run(search, plan)
    search.close()
    return _outcome(search, plan, cost_offset)


def _size_of_file(instance: TspInstance) -> InstanceSize:
    """Of a text that is no problem nothing is known; `validate` says why."""
    from optimized_tsp.solvers.tsp.tsplib_text import TsplibError

    try:
        problem = instance.tsplib_problem
    except TsplibError:
        return InstanceSize(0, None)
    if problem.matrix is not None:
        return InstanceSize(problem.num_nodes, problem.num_nodes * (problem.num_nodes - 1))
    return InstanceSize(problem.num_nodes, None if problem.arcs is None else len(problem.arcs[0]))


def _outcome(search: Search, plan: Plan, cost_offset: int) -> Outcome[TspSolution]:
    infeasibility: InfeasibilityCertificate | None = search.infeasibility
    limit = search.limit_reached()
    if infeasibility is not None:
        status = SolutionStatus.INFEASIBLE
    elif search.proven:
        status = SolutionStatus.OPTIMAL
    else:
        status = SolutionStatus.UNKNOWN if search.cost is None else SolutionStatus.FEASIBLE
    if status in {SolutionStatus.INFEASIBLE, SolutionStatus.OPTIMAL}:
        limit, reason = None, StopReason.PROVEN
    else:
        # A deterministic solve ends when its work is done, which may be long before the time is up.
        out_of_work = StopReason.NO_IMPROVEMENT if plan.deterministic else StopReason.TIME_LIMIT
        reason = limit or out_of_work
    return Outcome(
        solution_status=status,
        stop_reason=reason,
        solution=search.solution(),
        cost=search.cost,
        lower_bound=None if infeasibility is not None else search.lower_bound,
        infeasibility=infeasibility,
        statistics=_statistics(search, plan, cost_offset, limit),
    )


def _statistics(
    search: Search, plan: Plan, cost_offset: int, limit: StopReason | None
) -> dict[str, Any]:
    """What was done; costs are those of whole tours."""
    statistics = dict(search.statistics)
    for name in _COSTS_IN_STATISTICS & statistics.keys():
        statistics[name] += cost_offset
    if plan.deterministic:
        statistics["reproducible"] = limit not in {StopReason.TIME_LIMIT, StopReason.CANCELLED}
    return statistics

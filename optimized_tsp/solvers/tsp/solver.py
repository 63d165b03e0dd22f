"""The solver behind the contract: instance in, tours and bounds on the way, outcome out."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

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
from optimized_tsp.solvers.tsp.formats import READERS, WRITERS
from optimized_tsp.solvers.tsp.schemas import TspInstance, TspParameters, TspSolution
from optimized_tsp.solvers.tsp.validation import validate_instance

if TYPE_CHECKING:
    from optimized_tsp.solvers.tsp.graph import Graph
    from optimized_tsp.solvers.tsp.search import Search

__all__ = ["TspSolver"]

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

    def validate(self, instance: TspInstance) -> None:
        validate_instance(instance)

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
        seconds. Raises `InvalidInstance`, and `InvalidSolution` when `start` is no solution.
        """
        from optimized_tsp.solvers.tsp.graph import build_graph
        from optimized_tsp.solvers.tsp.reduction import reduce_instance

        solve_graph = partial(
            _solve_graph, time.monotonic(), parameters=parameters, seed=seed, stop=stop
        )
        validate_instance(instance)
        if start is not None:
            check_tour(instance, start)
        reduction = reduce_instance(instance, build_graph(instance))
        if isinstance(reduction, InfeasibilityCertificate):
            return Outcome(SolutionStatus.INFEASIBLE, StopReason.PROVEN, infeasibility=reduction)
        order = reduction.known_tour if start is None else reduction.shorten(start.node_order)
        report = reduction.reporting_to(on_incumbent)
        return reduction.outcome(solve_graph(reduction.graph, order, report))


def _solve_graph(
    started: float,
    graph: Graph,
    start: list[int] | None,
    on_incumbent: Callable[[Incumbent[TspSolution]], None],
    *,
    parameters: TspParameters,
    seed: int,
    stop: StopSignal,
) -> Outcome[TspSolution]:
    """The outcome for a graph, beginning with the tour `start` where there is one."""
    import numpy as np

    from optimized_tsp.solvers.tsp.search import Search
    from optimized_tsp.solvers.tsp.strategy import run

    reserve = min(_RESERVE_S, 0.1 * parameters.timeout)
    search = Search(
        graph,
        started=started,
        deadline=started + parameters.timeout - reserve,
        stop=stop,
        on_incumbent=on_incumbent,
    )
    if start is not None:
        search.offer_tour(np.array(start))
    run(search, threads=parameters.threads or 1, seed=seed)
    search.close()
    return _outcome(search)


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


def _outcome(search: Search) -> Outcome[TspSolution]:
    infeasibility: InfeasibilityCertificate | None = search.infeasibility
    if infeasibility is not None:
        status = SolutionStatus.INFEASIBLE
    elif search.proven:
        status = SolutionStatus.OPTIMAL
    else:
        status = SolutionStatus.UNKNOWN if search.cost is None else SolutionStatus.FEASIBLE
    if status in {SolutionStatus.INFEASIBLE, SolutionStatus.OPTIMAL}:
        reason = StopReason.PROVEN
    else:
        reason = StopReason.CANCELLED if search.cancelled() else StopReason.TIME_LIMIT
    return Outcome(
        solution_status=status,
        stop_reason=reason,
        solution=search.solution(),
        cost=search.cost,
        lower_bound=None if infeasibility is not None else search.lower_bound,
        infeasibility=infeasibility,
        statistics=search.statistics,
    )

"""The solver behind the contract: instance in, heuristic tour, proof, outcome out."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from optimized_tsp.solvers.contract import Example, Incumbent, InstanceSize, Outcome, StopSignal
from optimized_tsp.solvers.tsp.check import check_tour
from optimized_tsp.solvers.tsp.schemas import TspInstance, TspParameters, TspSolution
from optimized_tsp.solvers.tsp.validation import validate_instance

__all__ = ["TspSolver"]


class TspSolver:
    """Tours of symmetric, asymmetric and sparse instances, with a proof where time allows."""

    name: ClassVar[str] = "tsp"
    version: ClassVar[str] = "v1"
    instance_field: ClassVar[str] = "tsp_instance"
    instance_type = TspInstance
    parameters_type = TspParameters
    solution_type = TspSolution

    def size(self, instance: TspInstance) -> InstanceSize:
        if instance.edges is not None:
            return InstanceSize(instance.node_count, len(instance.edges))
        if instance.matrix is not None:
            present = sum(len(row) - row.count(None) for row in instance.matrix)
            diagonal = sum(row[i] is not None for i, row in enumerate(instance.matrix))
            return InstanceSize(instance.node_count, present - diagonal)
        return InstanceSize(instance.node_count, None)

    def validate(self, instance: TspInstance) -> None:
        validate_instance(instance)

    def examples(self) -> list[Example]:
        raise NotImplementedError

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
        raise NotImplementedError

    def check(self, instance: TspInstance, solution: TspSolution) -> None:
        check_tour(instance, solution)

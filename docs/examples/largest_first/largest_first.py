"""Graph colouring: give neighbours different colours, with as few colours as possible.

Largest first (Welsh and Powell 1967), then iterated greedy (Culberson 1992). The nodes of a clique
all need colours of their own, so the size of one that is found is a lower bound.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from optimized_tsp.solvers.contract import (
    Example,
    Incumbent,
    InstanceSize,
    InvalidInstance,
    InvalidSolution,
    Outcome,
    Problem,
    SolutionStatus,
    SolverParameters,
    StopReason,
    StopSignal,
    StrictModel,
)

Neighbours = list[set[int]]

_MAX_PROBLEMS = 100


class ColoringInstance(StrictModel):
    """A graph; the direction of an edge does not matter, and one given twice counts once."""

    num_nodes: int = Field(ge=1, le=10_000_000, description="Nodes are 0 .. num_nodes - 1.")
    edges: list[Annotated[list[int], Field(min_length=2, max_length=2)]] = Field(
        fail_fast=True, description="Pairs of nodes that may not have the same colour."
    )


class ColoringParameters(SolverParameters):
    """The common parameters, and one of our own."""

    patience: int = Field(
        default=1000,
        ge=1,
        description="Give up after so many colourings in a row that saved no colour.",
    )


class ColoringSolution(StrictModel):
    """A colour for every node."""

    colors: list[int] = Field(description="The colour of each node, numbered from 0.")
    cost: int = Field(ge=1, description="How many colours there are.")


class ColoringSolver:
    """Colours graphs; proves its answer where a clique needs as many colours."""

    name: ClassVar[str] = "coloring"
    version: ClassVar[str] = "v1"
    instance_field: ClassVar[str] = "instance"
    instance_type = ColoringInstance
    parameters_type = ColoringParameters
    solution_type = ColoringSolution

    def size(self, instance: ColoringInstance) -> InstanceSize:
        return InstanceSize(instance.num_nodes, len(instance.edges))

    def validate(self, instance: ColoringInstance) -> None:
        last, problems = instance.num_nodes - 1, []
        for i, (a, b) in enumerate(instance.edges):
            if not (0 <= a <= last and 0 <= b <= last):
                message = f"Nodes are 0 to {last}; this edge joins {a} and {b}."
                problems.append(Problem(f"/edges/{i}", "node_out_of_range", message))
            elif a == b:
                message = f"Node {a} cannot differ from itself; leave this edge out."
                problems.append(Problem(f"/edges/{i}", "self_loop", message))
            if len(problems) == _MAX_PROBLEMS:
                break
        if problems:
            raise InvalidInstance(problems)

    def examples(self) -> list[Example]:
        exams = ["algebra", "biology", "chemistry", "drawing", "english"]
        shared = [[0, 1], [0, 2], [1, 2], [2, 3], [3, 4], [4, 0]]
        return [
            Example(
                name="exams",
                description="Exams of which no two with a student in common are at the same time.",
                submission={"instance": {"num_nodes": len(exams), "edges": shared}},
                labels=exams,
                attribution="Made for this example.",
            )
        ]

    def solve(
        self,
        instance: ColoringInstance,
        parameters: ColoringParameters,
        *,
        seed: int,
        stop: StopSignal,
        on_incumbent: Callable[[Incumbent[ColoringSolution]], None],
        start: ColoringSolution | None,
    ) -> Outcome[ColoringSolution]:
        deadline = time.monotonic() + parameters.timeout
        choice = random.Random(seed)
        neighbours = _neighbours(instance)
        order = _largest_first(neighbours)
        lower_bound = _clique_size(neighbours, order)
        best, idle = start, 0
        if start is not None:
            self.check(instance, start)
            order = _class_by_class(start.colors, choice)
        while True:
            colors = _color_greedily(neighbours, order)
            num_colors, idle = max(colors) + 1, idle + 1
            if best is None or num_colors < best.cost:
                best, idle = ColoringSolution(colors=colors, cost=num_colors), 0
                on_incumbent(Incumbent(best, best.cost, lower_bound))
            if best.cost == lower_bound:
                status, reason = SolutionStatus.OPTIMAL, StopReason.PROVEN
            elif stop.is_set():
                status, reason = SolutionStatus.FEASIBLE, StopReason.CANCELLED
            elif time.monotonic() >= deadline:
                status, reason = SolutionStatus.FEASIBLE, StopReason.TIME_LIMIT
            elif idle == parameters.patience:
                status, reason = SolutionStatus.FEASIBLE, StopReason.NO_IMPROVEMENT
            else:
                order = _class_by_class(colors, choice)
                continue
            return Outcome(status, reason, best, best.cost, lower_bound)

    def check(self, instance: ColoringInstance, solution: ColoringSolution) -> None:
        colors = solution.colors
        if len(colors) != instance.num_nodes:
            raise InvalidSolution(f"{len(colors)} nodes have a colour, of {instance.num_nodes}.")
        for a, b in instance.edges:
            if colors[a] == colors[b]:
                raise InvalidSolution(f"The neighbours {a} and {b} have the same colour.")
        if sorted(set(colors)) != list(range(solution.cost)):
            raise InvalidSolution(f"The colours are not 0 to {solution.cost - 1}.")


def _neighbours(instance: ColoringInstance) -> Neighbours:
    neighbours: Neighbours = [set() for _ in range(instance.num_nodes)]
    for a, b in instance.edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    return neighbours


def _largest_first(neighbours: Neighbours) -> list[int]:
    return sorted(range(len(neighbours)), key=lambda node: -len(neighbours[node]))


def _clique_size(neighbours: Neighbours, order: Sequence[int]) -> int:
    """Size of a clique: grown from each of some nodes in turn, the largest counts."""
    sizes = []
    for first in order[:100]:
        clique = {first}
        for node in sorted(neighbours[first], key=lambda node: -len(neighbours[node])):
            if clique <= neighbours[node]:
                clique.add(node)
        sizes.append(len(clique))
    return max(sizes)


def _color_greedily(neighbours: Neighbours, order: Sequence[int]) -> list[int]:
    """Each node in turn gets the first colour that no neighbour has."""
    colors = [-1] * len(neighbours)
    for node in order:
        taken = {colors[neighbour] for neighbour in neighbours[node]}
        colors[node] = next(color for color in range(len(order)) if color not in taken)
    return colors


def _class_by_class(colors: Sequence[int], choice: random.Random) -> list[int]:
    """The nodes of one colour after those of another: coloured so, they need no more colours."""
    rank = list(range(max(colors) + 1))
    choice.shuffle(rank)
    return sorted(range(len(colors)), key=lambda node: rank[colors[node]])

"""The solver tsp once more as `v2_experimental`, with a parameter that v1 does not have.

It shows that two versions live side by side. Its parameter is of a class called like one of v1's.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from optimized_tsp.solvers.contract import StrictModel
from optimized_tsp.solvers.tsp import TspParameters, TspSolver

__all__ = ["ExperimentalTsp"]


class Edge(StrictModel):
    """Not an edge of the instance: two nodes that one would like to see side by side."""

    nodes: list[int] = Field(min_length=2, max_length=2)


class ExperimentalParameters(TspParameters):
    wishes: list[Edge] = Field(default_factory=list, description="Edges that would be nice.")


class ExperimentalTsp(TspSolver):
    version: ClassVar[str] = "v2_experimental"
    parameters_type = ExperimentalParameters

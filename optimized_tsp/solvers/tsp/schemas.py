"""The public shapes of the solver `tsp`: instance and solution (parameters: `parameters.py`).

These models check shapes and types. What concerns several fields at once (ranges, self loops,
exactness) is checked by `validation.py`. Importing this module is cheap: no numpy, no OR-Tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from optimized_tsp.solvers.contract import StrictModel

if TYPE_CHECKING:
    from optimized_tsp.solvers.tsp.check_tsplib import TsplibReading
    from optimized_tsp.solvers.tsp.tsplib import TsplibProblem

__all__ = ["COST_LIMIT", "Edge", "MAX_NODES", "Metric", "TspInstance", "TspSolution"]

COST_LIMIT = 2**53
"""Costs and n x (largest cost) stay below this: exact in JSON everywhere, and as a double."""

MAX_NODES = 10_000_000
"""Larger node numbers are typing errors; services set lower limits of their own."""

Metric = Literal["EUC_2D", "CEIL_2D", "MAN_2D", "MAX_2D", "ATT", "GEO", "HAVERSINE"]

Node = Annotated[int, Field(ge=0, lt=MAX_NODES, strict=True)]
Cost = Annotated[int, Field(ge=0, lt=COST_LIMIT, strict=True)]
Point = Annotated[list[float], Field(min_length=2, max_length=2)]
# Negative numbers pass here because people write them on the diagonal, which is ignored.
MatrixEntry = Annotated[int, Field(gt=-COST_LIMIT, lt=COST_LIMIT, strict=True)]
Row = Annotated[list[MatrixEntry | None], Field(fail_fast=True)]
NodeName = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Edge:
    """A directed edge; `cost` is an exact integer >= 0."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid"
    )  # strict would refuse dicts

    source: Node
    target: Node
    cost: Cost


_FORMS: dict[str, tuple[str, ...]] = {
    "edges": ("num_nodes", "edges"),
    "coordinates": ("coordinates", "metric"),
    "matrix": ("matrix",),
    "tsplib": ("tsplib",),
}


class TspInstance(StrictModel):
    """A travelling salesman problem in exactly one of four forms.

    `num_nodes` + `edges`, or `coordinates` + `metric`, or `matrix`, or `tsplib`; with each of them
    `start`, `end` and `round_trip` say where the tour begins and whether it comes back. Lists fail
    on their first malformed element, so that a large wrong body costs no more than a right one.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": list(fields)} for fields in _FORMS.values()]}
    )

    num_nodes: int | None = Field(
        default=None, ge=1, le=MAX_NODES, description="Nodes are numbered 0 .. num_nodes - 1."
    )
    edges: list[Edge] | None = Field(
        default=None,
        fail_fast=True,
        description="Directed edges; of several between the same nodes the cheapest counts.",
    )
    coordinates: list[Point] | None = Field(
        default=None,
        fail_fast=True,
        min_length=1,
        description="One [x, y] a node ([lon, lat] in degrees for HAVERSINE).",
    )
    metric: Metric | None = Field(
        default=None,
        description="Rule for distances between coordinates: TSPLIB's own (GEO is DDD.MM, latitude"
        " first), or HAVERSINE in whole metres on a sphere of 6 371 008.8 m.",
    )
    scale: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="Multiplies distances between coordinates before rounding."
    )
    matrix: list[Row] | None = Field(
        default=None,
        fail_fast=True,
        min_length=1,
        description="Square; matrix[i][j] is the cost (>= 0) from i to j, null where there is no"
        " edge. The diagonal is ignored.",
    )
    tsplib: str | None = Field(
        default=None,
        min_length=1,
        description="The text of a TSPLIB 95 file (TYPE TSP, ATSP or HCP; every edge-weight type"
        " but SPECIAL). Its nodes 1 .. n are 0 .. n - 1 in tours; FIXED_EDGES_SECTION is honoured.",
    )
    start: Node | None = Field(
        default=None,
        description="The node where the tour begins (node numbers count from 0, in every form)."
        " Without it a round trip begins with node 0, an open path wherever that is cheapest.",
    )
    end: Node | None = Field(
        default=None,
        description="The node where an open path ends; only with `round_trip: false`. Without it"
        " the path ends wherever that is cheapest.",
    )
    round_trip: bool = Field(
        default=True,
        description="false: an open path, which visits every node once and does not come back; its"
        " cost is without a way back.",
    )
    names: list[NodeName | None] | None = Field(
        default=None,
        fail_fast=True,
        min_length=1,
        description="A name for every node (null for one without); shown in solutions as CSV and"
        " GeoJSON, without influence on the tour.",
    )

    @model_validator(mode="after")
    def _exactly_one_form(self) -> Self:
        given = [form for form in _FORMS if getattr(self, form) is not None]
        if self.num_nodes is not None and "edges" not in given:
            given.insert(0, "edges")
        if self.metric is not None and "coordinates" not in given:
            given.append("coordinates")
        if len(given) > 1:
            raise PydanticCustomError(
                "several_forms",
                "Give one form of the problem, not several at once ({forms})",
                {"forms": ", ".join(given)},
            )
        if not given:
            raise PydanticCustomError(
                "no_form",
                "Give the problem as num_nodes and edges, coordinates and metric, matrix or tsplib",
            )
        missing = [name for name in _FORMS[given[0]] if getattr(self, name) is None]
        if missing:
            raise PydanticCustomError(
                "incomplete_form",
                "This form of the problem needs {fields}; {missing} is missing",
                {"fields": " and ".join(_FORMS[given[0]]), "missing": missing[0]},
            )
        if self.scale != 1.0 and given[0] != "coordinates":
            raise PydanticCustomError("scale_without_coordinates", "scale belongs to coordinates")
        return self

    @cached_property
    def tsplib_problem(self) -> TsplibProblem:
        """What the text of a file says; raises `TsplibError` where it says nothing."""
        from optimized_tsp.solvers.tsp.tsplib import parse_tsplib

        return parse_tsplib(self.tsplib or "")

    @cached_property
    def tsplib_reading(self) -> TsplibReading:
        """The same text as the check reads it; only for texts that have been parsed."""
        from optimized_tsp.solvers.tsp.check_tsplib import TsplibReading

        return TsplibReading(self.tsplib or "")

    @property
    def node_count(self) -> int:
        """Number of nodes; raises `TsplibError` where the text of a file is none."""
        if self.tsplib is not None:
            return self.tsplib_problem.num_nodes
        for nodes in (self.coordinates, self.matrix):
            if nodes is not None:
                return len(nodes)
        return self.num_nodes or 0

    @property
    def first_node(self) -> int | None:
        """Where every tour begins; None for a path that may begin anywhere."""
        return 0 if self.start is None and self.round_trip else self.start


class TspSolution(StrictModel):
    """A tour through all nodes: a round trip, or an open path where the instance asks for one."""

    node_order: list[int] = Field(
        description="Every node once, in visiting order. A round trip begins with `start` (without"
        " it with node 0), and the way back is implied; an open path (`round_trip: false`) begins"
        " with `start` and finishes with `end` where they are given, and has no way back."
    )
    cost: int = Field(
        ge=0,
        description="Sum of the costs of the tour's edges; that of the way back belongs to a round"
        " trip only.",
    )

"""TSPLIB 95 problem files (.tsp, .atsp): from the text to nodes and exact integer weights.

G. Reinelt, "TSPLIB 95", http://comopt.ifi.uni-heidelberg.de/software/TSPLIB95/tsp95.pdf. All
edge-weight types but SPECIAL and all edge-weight formats are read; TYPE is TSP, ATSP or HCP.
Whatever would change the meaning of a problem is read or refused, never skipped. Only what serves
displaying is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast, get_args

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.schemas import COST_LIMIT, MAX_NODES, Metric
from optimized_tsp.solvers.tsp.spatial_distances import SpatialDistances
from optimized_tsp.solvers.tsp.spatial_metrics import SPATIAL_METRICS, SpatialMetric
from optimized_tsp.solvers.tsp.tsplib_graph import read_arcs, read_fixed_edges
from optimized_tsp.solvers.tsp.tsplib_text import (
    Document,
    Entry,
    TsplibError,
    decode_tsplib,
    read_document,
    shown,
)
from optimized_tsp.solvers.tsp.tsplib_weights import (
    WEIGHT_FORMATS,
    FloatArray,
    read_matrix,
    read_points,
)
from optimized_tsp.solvers.tsp.validation import largest_distance

__all__ = ["TsplibError", "TsplibProblem", "announced_size", "decode_tsplib", "parse_tsplib"]

ProblemType = Literal["TSP", "ATSP", "HCP"]
PlanarMetric = Literal["EUC_2D", "CEIL_2D", "MAN_2D", "MAX_2D", "ATT", "GEO"]
WeightType: TypeAlias = PlanarMetric | SpatialMetric

_PLANAR: tuple[PlanarMetric, ...] = get_args(PlanarMetric)
_OTHER_TYPES = {
    "SOP": "a sequential ordering problem, whose precedences are not supported",
    "CVRP": "a vehicle routing problem, whose capacities are not supported",
    "TOUR": "a tour, not a problem",
}
_FOREIGN = {
    "CAPACITY": "CVRP",
    "DEMAND_SECTION": "CVRP",
    "DEPOT_SECTION": "CVRP",
    "TOUR_SECTION": "TOUR",
    "EDGE_DATA_FORMAT": "HCP",
    "EDGE_DATA_SECTION": "HCP",
}


_MOST_WORDS_AN_EDGE = 3
"""A node, its only neighbour and the -1 after them."""


@dataclass(frozen=True, slots=True, eq=False)
class TsplibProblem:
    """A problem as read; nodes count from 0 here. Exactly one of the last three is there.

    `points` with their `metric` have shape (n, 2) or (n, 3); `matrix` is (n, n) with zeros on the
    diagonal; `arcs` (sources, targets; HCP) are all there are, at cost 0. `fixed_edges` must be
    part of the tour, in the direction given where the problem is an ATSP, else in either;
    `fixed_edges_line` is where they begin.
    """

    name: str
    type: ProblemType
    num_nodes: int
    fixed_edges: list[tuple[int, int]]
    metric: WeightType | None = None
    points: FloatArray | None = None
    matrix: IntArray | None = None
    arcs: tuple[IntArray, IntArray] | None = None
    fixed_edges_line: int | None = None

    @property
    def directed(self) -> bool:
        """Whether an edge and its opposite may differ."""
        return self.type == "ATSP"


def parse_tsplib(text: str, *, max_nodes: int = MAX_NODES) -> TsplibProblem:
    """Read a problem file; raises `TsplibError` and nothing else.

    Memory stays within some 20 times the text: a matrix has its size in the text, and `max_nodes`
    bounds the nodes before anything is allocated for them. 18 000 points or a matrix of 443 x 443
    take about 50 ms.
    """
    document = read_document(text)
    problem_type = _problem_type(document.need("TYPE"))
    for keyword, owner in _FOREIGN.items():
        if owner != problem_type and (line := _line_of(document, keyword)):
            message = f"{keyword} belongs to TYPE: {owner}, not to TYPE: {problem_type}."
            raise TsplibError(line, "foreign_keyword", message)
    num_nodes = document.dimension(max_nodes)
    problem = TsplibProblem(
        name=document.entries["NAME"].value if "NAME" in document.entries else "",
        type=problem_type,
        num_nodes=num_nodes,
        fixed_edges=read_fixed_edges(document, num_nodes),
        fixed_edges_line=_line_of(document, "FIXED_EDGES_SECTION"),
    )
    if problem_type == "HCP":
        if line := _line_of(document, "EDGE_WEIGHT_SECTION"):
            message = "EDGE_WEIGHT_SECTION belongs to TYPE: TSP or ATSP, not to TYPE: HCP."
            raise TsplibError(line, "foreign_keyword", message)
        return replace(problem, arcs=read_arcs(document, num_nodes))
    weight_type = _weight_type(document)
    if weight_type == "EXPLICIT":
        matrix = _explicit_weights(document, num_nodes, symmetric=problem_type == "TSP")
        return replace(problem, matrix=matrix)
    return replace(problem, metric=weight_type, points=_points(document, num_nodes, weight_type))


def announced_size(text: str) -> tuple[int, int | None]:
    """Nodes, and edges where a file lists them, as its head says; at least as many are in it.

    Nothing that is listed is read. (0, None) where the head says nothing clear.
    """
    try:
        document = read_document(text)
        num_nodes = document.dimension(MAX_NODES)
    except TsplibError:
        return 0, None
    if (section := document.sections.get("EDGE_DATA_SECTION")) is not None:
        return num_nodes, section.count_words() // _MOST_WORDS_AN_EDGE
    if "EDGE_WEIGHT_SECTION" in document.sections:
        return num_nodes, num_nodes * (num_nodes - 1)
    return num_nodes, None


def _line_of(document: Document, keyword: str) -> int | None:
    found = document.entries.get(keyword) or document.sections.get(keyword)
    return found.line if found else None


def _problem_type(entry: Entry) -> ProblemType:
    given = entry.choice()
    if given in get_args(ProblemType):
        return cast("ProblemType", given)
    what = _OTHER_TYPES.get(given, "not a type of TSPLIB 95")
    message = f"TYPE is TSP, ATSP or HCP here; {shown(given)} is {what}."
    raise TsplibError(entry.line, "unsupported_type", message)


def _weight_type(document: Document) -> WeightType | Literal["EXPLICIT"]:
    entry = document.need("EDGE_WEIGHT_TYPE")
    given = entry.choice()
    if given in {"EXPLICIT", *_PLANAR, *SPATIAL_METRICS}:
        return cast("WeightType | Literal['EXPLICIT']", given)
    known = ", ".join(["EXPLICIT", *_PLANAR, *SPATIAL_METRICS])
    what = "is a distance function outside of the file" if given == "SPECIAL" else "is unknown"
    message = f"EDGE_WEIGHT_TYPE {shown(given)} {what}; supported are {known}."
    raise TsplibError(entry.line, "unsupported_weight_type", message)


def _explicit_weights(document: Document, num_nodes: int, *, symmetric: bool) -> IntArray:
    entry = document.need("EDGE_WEIGHT_FORMAT")
    weight_format = entry.choice()
    if weight_format not in WEIGHT_FORMATS:
        message = f"EDGE_WEIGHT_FORMAT of explicit weights is one of {', '.join(WEIGHT_FORMATS)}, "
        message += f"not {shown(weight_format)}."
        raise TsplibError(entry.line, "unsupported_weight_format", message)
    section = document.need_section("EDGE_WEIGHT_SECTION")
    return read_matrix(section, num_nodes, weight_format, symmetric=symmetric)


def _points(document: Document, num_nodes: int, metric: WeightType) -> FloatArray:
    dimensions = 3 if metric in SPATIAL_METRICS else 2
    _check_agreement(document, metric, dimensions)
    section = document.need_section("NODE_COORD_SECTION")
    points = read_points(section, num_nodes, dimensions, geographical=metric == "GEO")
    largest = _largest_distance(points, metric)
    if num_nodes * largest >= COST_LIMIT and num_nodes > 1:
        message = f"Distances reach {largest:.6g}; times {num_nodes} nodes that must stay below "
        raise TsplibError(section.line, "inexact_cost", message + "2^53 to be exact.")
    return points


def _check_agreement(document: Document, metric: WeightType, dimensions: int) -> None:
    """Entries and sections that say something else than the weight type are contradictions."""
    wanted = "THREED_COORDS" if dimensions == 3 else "TWOD_COORDS"
    for keyword, agreeing in (("NODE_COORD_TYPE", wanted), ("EDGE_WEIGHT_FORMAT", "FUNCTION")):
        entry = document.entries.get(keyword)
        if entry is not None and entry.choice() != agreeing:
            message = f"EDGE_WEIGHT_TYPE {metric} goes with {keyword} {agreeing}, "
            message += f"not {shown(entry.choice())}."
            raise TsplibError(entry.line, "contradiction", message)
    if "EDGE_WEIGHT_SECTION" in document.sections:
        line = document.sections["EDGE_WEIGHT_SECTION"].line
        message = f"EDGE_WEIGHT_SECTION belongs to EDGE_WEIGHT_TYPE EXPLICIT, not to {metric}."
        raise TsplibError(line, "contradiction", message)


def _largest_distance(points: FloatArray, metric: WeightType) -> float:
    """An upper bound of all distances; may be infinite."""
    if metric in SPATIAL_METRICS:
        return SpatialDistances(points, metric).largest()
    return largest_distance(cast("Metric", metric), points, 1.0)

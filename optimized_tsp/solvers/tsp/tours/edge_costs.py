"""Exact costs of edges inside kernels, from coordinates or from a matrix.

Every rule here is that of `metrics.py` and `spatial_metrics.py`, operation by operation, so that it
equals them in every bit: the same sums, products and roots, and the C library's sines and cosines,
which are Python's too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.graph import DenseGraph, Graph, PointGraph
from optimized_tsp.solvers.tsp.metrics import EARTH_RADIUS_M, GEO_RADIUS_KM, geo_radians
from optimized_tsp.solvers.tsp.spatial_metrics import MOTOR_SPEEDS

__all__ = [
    "COSTS",
    "CostRule",
    "Costs",
    "cost_rule",
    "edge_cost",
    "edge_costs",
    "plane_costs",
]

COSTS = "Tuple((int64, int64[:,::1], float64[:,::1], int64))"
"""The type of `Costs` as kernels see it."""

Costs: TypeAlias = tuple[int, IntArray, NDArray[np.float64], int]
"""A rule, its matrix, its points (as the rule wants them), and what a missing edge costs."""

FloatArray: TypeAlias = NDArray[np.float64]

MATRIX, DOUBLED, EUC, CEIL, ATT, MAN, MAX, MOTORS, GEO, HAVERSINE = range(10)
_SPACE_COLUMNS = 3


@kernel("int64(int64, float64, float64, float64, float64)", bare=True)
def _straight(rule: int, scale: float, x: float, y: float, z: float) -> int:
    """Euclidean, rounded up or to the nearest, and ATT."""
    square = x * x + y * y + z * z
    if rule == EUC:
        return math.floor(scale * math.sqrt(square) + 0.5)
    if rule == CEIL:
        return math.ceil(scale * math.sqrt(square))
    real = scale * math.sqrt(square / 10.0)
    rounded = math.floor(real + 0.5)
    return rounded + 1 if rounded < real else rounded


@kernel("int64(int64, float64, float64, float64, float64, float64, float64)", bare=True)
def _by_axis(rule: int, s0: float, s1: float, s2: float, x: float, y: float, z: float) -> int:
    """Sums and maxima of the differences by coordinate; motors turn either way in the first."""
    if rule == MAN:
        return math.floor(s0 * (x + y + z) + 0.5)
    if rule == MAX:
        return math.floor(s0 * max(x, y, z) + 0.5)
    x = min(x, abs(x - 360.0)) / s0
    return math.floor(100.0 * max(x, y / s1, z / s2) + 0.5)


@kernel("int64(float64, float64, float64, float64, float64)", bare=True)
def _geo(
    scale: float, latitude: float, longitude: float, latitude_b: float, longitude_b: float
) -> int:
    """Between points in radians."""
    q1 = math.cos(longitude - longitude_b)
    q2 = math.cos(latitude - latitude_b)
    q3 = math.cos(latitude + latitude_b)
    cosine = 0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3)
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    return math.floor(scale * (GEO_RADIUS_KM * angle) + 1.0)


@kernel("int64(float64, float64, float64, float64)", bare=True)
def _haversine(scale: float, east: float, north: float, cosines: float) -> int:
    """From differences of longitude (degrees) and latitude (radians), and cosines multiplied."""
    half_latitude = math.sin(north / 2.0)
    half_longitude = math.sin(math.radians(east) / 2.0)
    h = half_latitude * half_latitude
    h += cosines * (half_longitude * half_longitude)
    length = 2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, h)))
    return math.floor(scale * length + 0.5)


@kernel("int64(int64, float64, float64, float64, float64, float64, float64)", bare=True)
def _on_globe(
    rule: int, scale: float, a0: float, a1: float, b0: float, b1: float, cosines: float
) -> int:
    if rule == GEO:
        return _geo(scale, a0, a1, b0, b1)
    return _haversine(scale, b0 - a0, b1 - a1, cosines)


@kernel("int64(int64, int64[:,::1], float64[:,::1], int64, int64, int64)", bare=True)
def _any_cost(rule: int, matrix: IntArray, points: FloatArray, missing: int, i: int, j: int) -> int:
    if rule > DOUBLED:
        last, in_space = len(points) - 1, points.shape[1] == _SPACE_COLUMNS
        scale = points[last, 0]
        a0, a1, b0, b1 = points[i, 0], points[i, 1], points[j, 0], points[j, 1]
        a2, b2 = (points[i, 2], points[j, 2]) if in_space else (0.0, 0.0)
        if rule >= GEO:
            return _on_globe(rule, scale, a0, a1, b0, b1, a2 * b2)
        x, y, z = abs(a0 - b0), abs(a1 - b1), abs(a2 - b2)
        if rule <= ATT:
            return _straight(rule, scale, x, y, z)
        s1, s2 = (points[last, 1], points[last, 2]) if in_space else (1.0, 1.0)
        return _by_axis(rule, scale, s1, s2, x, y, z)
    if rule == DOUBLED:
        n = len(matrix)
        if (i < n) == (j < n):
            return missing
        if i < n:
            i, j = j, i
        i -= n
        if i == j:
            return 0
    cost = int(matrix[i, j])
    return cost if cost < NO_EDGE else missing


@kernel("int64(int64, int64[:,::1], float64[:,::1], int64, int64, int64)", bare=True, inline=True)
def edge_cost(rule: int, matrix: IntArray, points: FloatArray, missing: int, i: int, j: int) -> int:
    """The exact cost between two different nodes; a missing edge has its own large one.

    A doubled rule has entries 0..n-1 and exits n..2n-1; an arc goes from exit to entry.
    """
    if rule == EUC and points.shape[1] != _SPACE_COLUMNS:  # in the place of its call: most are
        x, y = points[i, 0] - points[j, 0], points[i, 1] - points[j, 1]
        return int(points[len(points) - 1, 0] * math.sqrt(x * x + y * y) + 0.5)
    return _any_cost(rule, matrix, points, missing, i, j)


@kernel(f"int64[::1]({COSTS}, int64[::1], int64[::1])")
def edge_costs(costs: Costs, source: IntArray, target: IntArray) -> IntArray:
    """Costs of many edges; 0 from a node to itself."""
    rule, matrix, points, missing = costs
    priced = np.zeros(len(source), np.int64)
    for e in range(len(source)):
        if source[e] != target[e]:
            priced[e] = edge_cost(rule, matrix, points, missing, source[e], target[e])
    return priced


@kernel(f"boolean({COSTS}, int64, int64[::1])", bare=True)
def plane_costs(costs: Costs, node: int, row: IntArray) -> bool:
    """Write the costs from a node to all; False, and nothing, but for straight lines in a plane.

    The one loop over all pairs that counts: the processor does several of them at once.
    """
    rule, _, points, _ = costs
    if rule < EUC or rule > ATT or points.shape[1] == _SPACE_COLUMNS:
        return False
    scale, x, y = points[len(row), 0], points[node, 0], points[node, 1]
    for j in range(len(row)):
        row[j] = _straight(rule, scale, x - points[j, 0], y - points[j, 1], 0.0)
    return True


@dataclass(frozen=True, slots=True, eq=False)
class CostRule:
    """What the local search needs to know of a graph; nodes are doubled where it is asymmetric.

    `mates` (nodes,) has for every node the one it is joined to for good, -1 where there is none.
    `locations` (nodes, 2 or 3) are coordinates in which near means cheap, where there are any.
    """

    costs: Costs
    num_nodes: int
    mates: NDArray[np.int32]
    locations: FloatArray | None


_PLANE = {"EUC_2D": EUC, "CEIL_2D": CEIL, "MAN_2D": MAN, "MAX_2D": MAX, "ATT": ATT}
_SPACE = {"EUC_3D": EUC, "MAN_3D": MAN, "MAX_3D": MAX, "XRAY1": MOTORS, "XRAY2": MOTORS}


def cost_rule(graph: Graph) -> CostRule:
    """The costs of a graph for kernels, exactly; an arc graph is made a matrix."""
    if isinstance(graph, PointGraph):
        return _point_rule(graph)
    if not isinstance(graph, DenseGraph):
        graph = graph.dense()
    n = graph.num_nodes
    present = graph.costs[graph.costs != NO_EDGE]
    # More than any tour: a tour with fewer missing edges is cheaper whatever else it costs.
    missing = n * int(present.max(initial=0)) + 1
    matrix = np.ascontiguousarray(graph.costs)
    nothing = np.zeros((1, 2))
    if graph.symmetric:
        return CostRule((MATRIX, matrix, nothing, missing), n, _no_mates(n), None)
    mates = np.concatenate([np.arange(n, 2 * n), np.arange(n)]).astype(np.int32)
    return CostRule((DOUBLED, matrix, nothing, missing), 2 * n, mates, None)


def _no_mates(num_nodes: int) -> NDArray[np.int32]:
    return np.full(num_nodes, -1, dtype=np.int32)


def _point_rule(graph: PointGraph) -> CostRule:
    distances = graph.distances
    if not isinstance(distances, Distances):
        locations = distances.coordinates
        scales = np.array([MOTOR_SPEEDS.get(distances.metric, (1.0, 1.0, 1.0))])
        return _with_points(_SPACE[distances.metric], locations, scales, locations)
    scale = distances.scale
    points = distances.points
    if distances.metric == "GEO":
        angles = np.vectorize(geo_radians, otypes=[np.float64])(points)
        return _with_points(GEO, angles, np.full((1, 2), scale), on_sphere(angles[:, ::-1]))
    if distances.metric == "HAVERSINE":
        latitude = [math.radians(degrees) for degrees in points[:, 1].tolist()]
        columns = np.array([points[:, 0], latitude, [math.cos(angle) for angle in latitude]]).T
        sphere = on_sphere(np.radians(points))
        return _with_points(HAVERSINE, columns, np.full((1, 3), scale), sphere)
    return _with_points(_PLANE[distances.metric], points, np.full((1, 2), scale), points)


def _with_points(
    rule: int, columns: FloatArray, last: FloatArray, locations: FloatArray
) -> CostRule:
    points = np.ascontiguousarray(np.concatenate([columns, last]))
    n = len(columns)
    return CostRule((rule, np.zeros((1, 1), np.int64), points, 0), n, _no_mates(n), locations)


def on_sphere(angles: FloatArray) -> FloatArray:
    """Points (longitude, latitude), in radians, on the unit sphere: (n, 3)."""
    longitude, latitude = angles.T
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1)

"""Distances between points in three dimensions: TSPLIB's EUC_3D, MAN_3D, MAX_3D, XRAY1 and XRAY2.

G. Reinelt, "TSPLIB 95", sections 2.1 to 2.3 and 2.7. XRAY1 and XRAY2 are the times of a
diffractometer (R. Bland and D. Shallcross, "Large travelling salesman problems arising from
experiments in X-ray crystallography", 1989): three motors turn at once, the coordinates are the
angles phi, chi and 2-theta in degrees, phi turns either way; in hundredths, rounded.

`spatial_rule` is the definition, in plain Python; `SpatialDistances` is tested against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray

__all__ = ["SPATIAL_METRICS", "SpatialDistances", "SpatialMetric", "spatial_distance"]

SpatialMetric = Literal["EUC_3D", "MAN_3D", "MAX_3D", "XRAY1", "XRAY2"]
SPATIAL_METRICS: tuple[SpatialMetric, ...] = get_args(SpatialMetric)

FloatArray: TypeAlias = NDArray[np.float64]

_MOTOR_SPEEDS: dict[str, tuple[float, float, float]] = {
    "XRAY1": (1.0, 1.0, 1.0),
    "XRAY2": (1.25, 1.5, 1.15),
}
_BLOCK = 2_000_000


def spatial_distance(metric: SpatialMetric, a: Sequence[float], b: Sequence[float]) -> int:
    """The distance between two points as an exact integer."""
    d = [abs(p - q) for p, q in zip(a, b, strict=True)]
    if metric in _MOTOR_SPEEDS:
        d[0] = min(d[0], abs(d[0] - 360.0))
        turns = (d[k] / speed for k, speed in enumerate(_MOTOR_SPEEDS[metric]))
        return math.floor(100.0 * max(turns) + 0.5)
    if metric == "EUC_3D":
        return math.floor(math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) + 0.5)
    return math.floor((max(d) if metric == "MAX_3D" else d[0] + d[1] + d[2]) + 0.5)


class SpatialDistances:
    """Exact integer distances between `points` (shape (n, 3))."""

    def __init__(self, points: FloatArray, metric: SpatialMetric) -> None:
        self.points = points
        self.metric = metric

    def between(self, a: IntArray, b: IntArray) -> IntArray:
        """Distances between nodes `a` and `b`, broadcast against each other."""
        d = np.moveaxis(np.abs(self.points[a] - self.points[b]), -1, 0)
        return np.floor(self._length(d) + 0.5).astype(np.int64)

    def matrix(self) -> IntArray:
        """All distances, shape (n, n), with zeros on the diagonal."""
        nodes = np.arange(len(self.points))
        costs = np.empty((len(nodes), len(nodes)), dtype=np.int64)
        for rows in np.array_split(nodes, max(1, len(nodes) * len(nodes) // _BLOCK)):
            costs[rows] = self.between(rows[:, None], nodes[None, :])
        np.fill_diagonal(costs, 0)
        return costs

    def largest(self) -> float:
        """An upper bound of all distances; may be infinite."""
        with np.errstate(over="ignore"):
            widths = np.ptp(self.points, axis=0)
            if self.metric in _MOTOR_SPEEDS:  # the shorter way round is no longer than the other
                return 100.0 * float(np.max(widths / _MOTOR_SPEEDS[self.metric])) + 1.0
            return float(self._length(widths)) + 1.0

    def _length(self, d: FloatArray) -> FloatArray:
        """Lengths before rounding, from the absolute differences by coordinate (first axis)."""
        x, y, z = d
        length: FloatArray
        if self.metric in _MOTOR_SPEEDS:
            x_speed, y_speed, z_speed = _MOTOR_SPEEDS[self.metric]
            x = np.minimum(x, np.abs(x - 360.0)) / x_speed
            length = 100.0 * np.maximum(x, np.maximum(y / y_speed, z / z_speed))
        elif self.metric == "EUC_3D":
            length = np.sqrt(x * x + y * y + z * z)
        elif self.metric == "MAX_3D":
            length = np.maximum(x, np.maximum(y, z))
        else:
            length = x + y + z
        return length

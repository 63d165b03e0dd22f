"""Distances between many points in three dimensions at once, equal to `spatial_metrics.py`.

Only operations that are exact to the last bit in numpy as in Python are used.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.spatial_metrics import MOTOR_SPEEDS, SpatialMetric

__all__ = ["SpatialDistances"]

FloatArray: TypeAlias = NDArray[np.float64]

_BLOCK = 2_000_000


class SpatialDistances:
    """Exact integer distances between points of shape (n, 3), their `coordinates`.

    `points` (n, 2) is a view of them from one side, for whatever divides points by where they are.
    """

    def __init__(self, points: FloatArray, metric: SpatialMetric) -> None:
        self.metric = metric
        self.coordinates = points
        with np.errstate(over="ignore"):
            flattest = int(np.ptp(points, axis=0).argmin())
        self.points: FloatArray = np.delete(points, flattest, axis=1)

    def between(self, a: IntArray, b: IntArray) -> IntArray:
        """Distances between nodes `a` and `b`, broadcast against each other."""
        d = np.moveaxis(np.abs(self.coordinates[a] - self.coordinates[b]), -1, 0)
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
            widths = np.ptp(self.coordinates, axis=0)
            if self.metric in MOTOR_SPEEDS:  # the shorter way round is no longer than the other
                return 100.0 * float(np.max(widths / MOTOR_SPEEDS[self.metric])) + 1.0
            return float(self._length(widths)) + 1.0

    def _length(self, d: FloatArray) -> FloatArray:
        """Lengths before rounding, from the absolute differences by coordinate (first axis)."""
        x, y, z = d
        length: FloatArray
        if self.metric in MOTOR_SPEEDS:
            x_speed, y_speed, z_speed = MOTOR_SPEEDS[self.metric]
            x = np.minimum(x, np.abs(x - 360.0)) / x_speed
            length = 100.0 * np.maximum(x, np.maximum(y / y_speed, z / z_speed))
        elif self.metric == "EUC_3D":
            length = np.sqrt(x * x + y * y + z * z)
        elif self.metric == "MAX_3D":
            length = np.maximum(x, np.maximum(y, z))
        else:
            length = x + y + z
        return length

"""Distances between many points at once, equal to `metrics.py` in every entry.

Sums, products and square roots are exact to the last bit in numpy as in Python. Sines and cosines
are not: numpy's differ in the last bits from the C library's. Distances near enough to a rounding
border for that to matter are computed by the definition instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.metrics import (
    EARTH_RADIUS_M,
    GEO_RADIUS_KM,
    distance_rule,
    geo_radians,
)
from optimized_tsp.solvers.tsp.schemas import Metric

__all__ = ["Distances"]

FloatArray = NDArray[np.float64]

_TRIGONOMETRIC_ERROR = 1e-6
"""In units of the unscaled distance: more than twice what the formulas below can be wrong by."""


class Distances:
    """Exact integer distances between `points` (shape (n, 2)) by a metric."""

    def __init__(self, points: FloatArray, metric: Metric, scale: float) -> None:
        self.points = points
        self.metric = metric
        self.scale = scale
        self._definition = distance_rule(metric)
        radians = np.vectorize(geo_radians, otypes=[np.float64])
        self._angles = radians(points) if metric == "GEO" else np.radians(points)

    def between(self, a: IntArray, b: IntArray) -> IntArray:
        """Distances between nodes `a` and `b`, broadcast against each other."""
        if self.metric in {"GEO", "HAVERSINE"}:
            return self._on_sphere(a, b)
        dx, dy = np.moveaxis(self.points[a] - self.points[b], -1, 0)
        return self._in_plane(dx, dy).astype(np.int64)

    def matrix(self) -> IntArray:
        """All distances, shape (n, n), with zeros on the diagonal."""
        nodes = np.arange(len(self.points))
        costs = np.empty((len(nodes), len(nodes)), dtype=np.int64)
        for rows in np.array_split(nodes, max(1, len(nodes) * len(nodes) // 2_000_000)):
            costs[rows] = self.between(rows[:, None], nodes[None, :])
        np.fill_diagonal(costs, 0)
        return costs

    def _in_plane(self, dx: FloatArray, dy: FloatArray) -> FloatArray:
        if self.metric == "MAN_2D":
            return np.floor(self.scale * (np.abs(dx) + np.abs(dy)) + 0.5)
        if self.metric == "MAX_2D":
            return np.floor(self.scale * np.maximum(np.abs(dx), np.abs(dy)) + 0.5)
        square = dx * dx + dy * dy
        if self.metric == "CEIL_2D":
            return np.ceil(self.scale * np.sqrt(square))
        if self.metric == "ATT":
            real = self.scale * np.sqrt(square / 10.0)
            rounded = np.floor(real + 0.5)
            return np.where(rounded < real, rounded + 1.0, rounded)
        return np.floor(self.scale * np.sqrt(square) + 0.5)

    def _on_sphere(self, a: IntArray, b: IntArray) -> IntArray:
        if self.metric == "GEO":
            real, border = self._geo(a, b)
        else:
            real, border = self._haversine(a, b)
        whole = np.floor(real)
        error = _TRIGONOMETRIC_ERROR * (self.scale + 1e-3)
        unsure = border | (real - whole < error) | (real - whole > 1.0 - error)
        distances: IntArray = whole.astype(np.int64)
        a, b = np.broadcast_arrays(a, b)
        for place in zip(*np.nonzero(unsure & (a != b)), strict=True):
            p, q = self.points[a[place]].tolist(), self.points[b[place]].tolist()
            distances[place] = self._definition(p, q, self.scale)
        return distances

    def _geo(self, a: IntArray, b: IntArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        latitude, longitude = self._angles.T
        q1 = np.cos(longitude[a] - longitude[b])
        q2 = np.cos(latitude[a] - latitude[b])
        q3 = np.cos(latitude[a] + latitude[b])
        cosine = np.clip(0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3), -1.0, 1.0)
        # Near +1 and -1 the arc cosine magnifies errors: about 60 m on the ground.
        border = 1.0 - cosine * cosine < 1e-10
        return self.scale * (GEO_RADIUS_KM * np.arccos(cosine)) + 1.0, border

    def _haversine(self, a: IntArray, b: IntArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        latitude = self._angles[:, 1]
        half_latitude = np.sin((latitude[b] - latitude[a]) / 2.0)
        half_longitude = np.sin(np.radians(self.points[b, 0] - self.points[a, 0]) / 2.0)
        h = half_latitude * half_latitude
        h = h + np.cos(latitude)[a] * np.cos(latitude)[b] * (half_longitude * half_longitude)
        # Near 1 (antipodes) the arc sine magnifies errors.
        border = h > 1.0 - 1e-3
        length = 2.0 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(h, 1.0)))
        return self.scale * length + 0.5, border

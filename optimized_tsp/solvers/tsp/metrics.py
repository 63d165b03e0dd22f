"""The definition of every distance between coordinates, in plain Python.

Rules and constants are those of TSPLIB 95 (G. Reinelt, "TSPLIB 95", section 2), whose functions
round as written there: `nint(x)` is floor(x + 0.5). `scale` multiplies the real distance before it
is rounded. This is the meaning of an instance: `check` uses it as it is, the solver's vectorised
distances are tested against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from optimized_tsp.solvers.tsp.schemas import Metric

__all__ = [
    "EARTH_RADIUS_M",
    "GEO_PI",
    "GEO_RADIUS_KM",
    "Distance",
    "decimal_degrees",
    "distance_rule",
    "geo_radians",
]

Point: TypeAlias = Sequence[float]
Distance: TypeAlias = Callable[[Point, Point, float], int]

GEO_PI = 3.141592
GEO_RADIUS_KM = 6378.388
EARTH_RADIUS_M = 6_371_008.8
"""Mean earth radius (IUGG), metres."""


def distance_rule(metric: Metric) -> Distance:
    """The function (point, point, scale) -> exact integer distance of a metric."""
    return _RULES[metric]


def _nint(x: float) -> int:
    return math.floor(x + 0.5)


def _length(a: Point, b: Point) -> float:
    # Not math.hypot: TSPLIB squares, adds and takes the root, and so do the vectorised distances.
    dx, dy = a[0] - b[0], a[1] - b[1]
    return math.sqrt(dx * dx + dy * dy)


def _euc_2d(a: Point, b: Point, scale: float) -> int:
    return _nint(scale * _length(a, b))


def _ceil_2d(a: Point, b: Point, scale: float) -> int:
    return math.ceil(scale * _length(a, b))


def _man_2d(a: Point, b: Point, scale: float) -> int:
    return _nint(scale * (abs(a[0] - b[0]) + abs(a[1] - b[1])))


def _max_2d(a: Point, b: Point, scale: float) -> int:
    return _nint(scale * max(abs(a[0] - b[0]), abs(a[1] - b[1])))


def _att(a: Point, b: Point, scale: float) -> int:
    dx, dy = a[0] - b[0], a[1] - b[1]
    real = scale * math.sqrt((dx * dx + dy * dy) / 10.0)
    rounded = _nint(real)
    return rounded + 1 if rounded < real else rounded


def geo_radians(degrees_minutes: float) -> float:
    """DDD.MM (degrees, then minutes as two decimals) in radians, with TSPLIB's pi."""
    degrees = math.trunc(degrees_minutes)
    minutes = degrees_minutes - degrees
    return GEO_PI * (degrees + 5.0 * minutes / 3.0) / 180.0


def decimal_degrees(degrees_minutes: float) -> float:
    """DDD.MM in decimal degrees, to 1e-7 (a centimetre); for showing, not for distances."""
    degrees = math.trunc(degrees_minutes)
    return round(degrees + 5.0 * (degrees_minutes - degrees) / 3.0, 7)


def _geo(a: Point, b: Point, scale: float) -> int:
    latitude_a, longitude_a = geo_radians(a[0]), geo_radians(a[1])
    latitude_b, longitude_b = geo_radians(b[0]), geo_radians(b[1])
    q1 = math.cos(longitude_a - longitude_b)
    q2 = math.cos(latitude_a - latitude_b)
    q3 = math.cos(latitude_a + latitude_b)
    cosine = 0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3)
    return math.floor(scale * (GEO_RADIUS_KM * math.acos(max(-1.0, min(1.0, cosine)))) + 1.0)


def _haversine(a: Point, b: Point, scale: float) -> int:
    latitude_a, latitude_b = math.radians(a[1]), math.radians(b[1])
    half_latitude = math.sin((latitude_b - latitude_a) / 2.0)
    half_longitude = math.sin(math.radians(b[0] - a[0]) / 2.0)
    h = half_latitude * half_latitude
    h += math.cos(latitude_a) * math.cos(latitude_b) * (half_longitude * half_longitude)
    return _nint(scale * (2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, h)))))


_RULES: dict[Metric, Distance] = {
    "EUC_2D": _euc_2d,
    "CEIL_2D": _ceil_2d,
    "MAN_2D": _man_2d,
    "MAX_2D": _max_2d,
    "ATT": _att,
    "GEO": _geo,
    "HAVERSINE": _haversine,
}

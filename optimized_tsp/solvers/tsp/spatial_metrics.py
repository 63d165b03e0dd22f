"""The definition of TSPLIB's distances in three dimensions, in plain Python.

G. Reinelt, "TSPLIB 95", sections 2.1 to 2.3 and 2.7. XRAY1 and XRAY2 are the times of a
diffractometer (R. Bland and D. Shallcross, "Large travelling salesman problems arising from
experiments in X-ray crystallography", 1989): three motors turn at once, the coordinates are the
angles phi, chi and 2-theta in degrees, phi turns either way; in hundredths, rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

__all__ = ["MOTOR_SPEEDS", "SPATIAL_METRICS", "SpatialMetric", "spatial_distance"]

SpatialMetric = Literal["EUC_3D", "MAN_3D", "MAX_3D", "XRAY1", "XRAY2"]
SPATIAL_METRICS: tuple[SpatialMetric, ...] = get_args(SpatialMetric)

MOTOR_SPEEDS: dict[str, tuple[float, float, float]] = {
    "XRAY1": (1.0, 1.0, 1.0),
    "XRAY2": (1.25, 1.5, 1.15),
}
"""Degrees a unit of time, for phi, chi and 2-theta."""


def spatial_distance(metric: SpatialMetric, a: Sequence[float], b: Sequence[float]) -> int:
    """The distance between two points as an exact integer."""
    d = [abs(p - q) for p, q in zip(a, b, strict=True)]
    if metric in MOTOR_SPEEDS:
        d[0] = min(d[0], abs(d[0] - 360.0))
        turns = (d[k] / speed for k, speed in enumerate(MOTOR_SPEEDS[metric]))
        return math.floor(100.0 * max(turns) + 0.5)
    if metric == "EUC_3D":
        return math.floor(math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) + 0.5)
    return math.floor((max(d) if metric == "MAX_3D" else d[0] + d[1] + d[2]) + 0.5)

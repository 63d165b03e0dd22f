"""Points as people have them: read from tables and maps, and tours through them written alike.

Longitude and latitude (decimal degrees) mean the metric HAVERSINE, x and y mean EUC_2D. Readers
(`points_csv.py`, `points_geojson.py`) raise `InvalidInstance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["PointMetric", "Points", "degree_complaint"]

PointMetric = Literal["EUC_2D", "HAVERSINE"]


@dataclass(frozen=True, slots=True)
class Points:
    """A point set; every point is [x, y], for HAVERSINE [longitude, latitude].

    `names` has an entry for every point, None where one has none; it is None without any names.
    """

    coordinates: list[list[float]]
    metric: PointMetric
    names: list[str | None] | None

    def instance(self) -> dict[str, Any]:
        """The form `coordinates` of an instance, with names where there are any, as JSON values."""
        named = {} if self.names is None else {"names": self.names}
        return {"coordinates": self.coordinates, "metric": self.metric, **named}


def degree_complaint(longitude: float, latitude: float) -> str | None:
    """What is wrong with a point on the globe, or None."""
    for name, value, limit in (("longitude", longitude, 180), ("latitude", latitude, 90)):
        if abs(value) > limit:
            return (
                f"A {name} is between -{limit} and {limit} degrees, not {value:g}"
                " (are longitude and latitude swapped, or is this a projection?)."
            )
    return None

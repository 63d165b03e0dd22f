"""Other media types than JSON: points come in as tables and maps, tours go out likewise."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optimized_tsp.solvers.contract import InvalidInstance, Problem
from optimized_tsp.solvers.tsp.metrics import decimal_degrees
from optimized_tsp.solvers.tsp.points_csv import read_points_csv, write_tour_csv
from optimized_tsp.solvers.tsp.points_geojson import read_points_geojson, write_tour_geojson
from optimized_tsp.solvers.tsp.schemas import TspInstance, TspSolution
from optimized_tsp.solvers.tsp.tsplib_text import decode_tsplib
from optimized_tsp.solvers.tsp.tsplib_tour import write_tour

__all__ = ["BESIDE", "READERS", "WRITERS", "Plane", "plane_of"]

CSV = "text/csv"
GEOJSON = "application/geo+json"
TSPLIB = "application/x-tsplib"
TOUR = "application/x-tsplib-tour"


@dataclass(frozen=True, slots=True)
class Plane:
    """Points to draw: [x, y] each, or [latitude, longitude]."""

    coordinates: list[list[float]]
    latitude_first: bool


def plane_of(instance: TspInstance) -> Plane | None:
    """The points of a valid instance where they lie in a plane or on the globe, else None."""
    coordinates, metric = instance.coordinates, str(instance.metric)
    if instance.tsplib is not None and instance.tsplib_problem.points is not None:
        coordinates = instance.tsplib_problem.points.tolist()
        metric = str(instance.tsplib_problem.metric)
    if coordinates is None or len(coordinates[0]) != 2:
        return None
    return Plane(coordinates, metric == "GEO")


def _as_csv(instance: TspInstance, solution: TspSolution) -> str:
    coordinates = instance.coordinates
    if instance.tsplib is not None and instance.tsplib_problem.points is not None:
        coordinates = instance.tsplib_problem.points.tolist()
    return write_tour_csv(
        solution.node_order,
        coordinates=coordinates,
        metric=instance.metric,
        names=instance.names,
    )


def _as_geojson(instance: TspInstance, solution: TspSolution) -> str:
    points = _on_the_globe(instance)
    if points is None:
        message = "Only a tour through places on the globe (HAVERSINE, GEO) can be put on a map."
        raise InvalidInstance([Problem("/metric", "not_on_a_map", message)])
    document = write_tour_geojson(
        solution.node_order,
        points,
        cost=solution.cost,
        names=instance.names,
        round_trip=instance.round_trip,
    )
    return json.dumps(document)


def _on_the_globe(instance: TspInstance) -> list[list[float]] | None:
    """[longitude, latitude] of every node in decimal degrees, as GeoJSON has it."""
    if instance.metric == "HAVERSINE":
        return instance.coordinates
    plane = plane_of(instance)
    if plane is None or not plane.latitude_first:
        return None
    return [
        [decimal_degrees(longitude), decimal_degrees(latitude)]
        for latitude, longitude in plane.coordinates
    ]


def _as_tour(instance: TspInstance, solution: TspSolution) -> str:
    name = "" if instance.tsplib is None else instance.tsplib_problem.name
    return write_tour(name, solution.cost, solution.node_order, round_trip=instance.round_trip)


READERS: Mapping[str, Callable[[bytes], Any]] = {
    CSV: lambda body: read_points_csv(body).instance(),
    GEOJSON: lambda body: read_points_geojson(body).instance(),
    TSPLIB: lambda body: {"tsplib": decode_tsplib(body)},
}
_ROUTE = ("start", "end", "round_trip")
BESIDE: Mapping[str, tuple[str, ...]] = {
    CSV: (*_ROUTE, "scale"),
    GEOJSON: (*_ROUTE, "scale"),
    TSPLIB: _ROUTE,
}
WRITERS: Mapping[str, Callable[[Any, Any], str]] = {
    TOUR: _as_tour,
    CSV: _as_csv,
    GEOJSON: _as_geojson,
}

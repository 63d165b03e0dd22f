"""Points on the globe as GeoJSON (RFC 7946), and tours as maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from optimized_tsp.solvers.contract import InvalidInstance, Problem
from optimized_tsp.solvers.tsp.points import Points, degree_complaint
from optimized_tsp.solvers.tsp.validation import MAX_PROBLEMS

__all__ = ["read_points_geojson", "write_tour_geojson"]

_WGS84 = ("CRS84", "EPSG:4326", "EPSG::4326")
_EXPECTED = (
    "A FeatureCollection of Point features, a MultiPoint, a GeometryCollection of Points or an"
    " array of Points is expected"
)


def read_points_geojson(content: bytes | str) -> Points:
    """The points of a GeoJSON document, in its order; raises `InvalidInstance`.

    Names are the features' `properties.name` (a string or a number). Altitudes are ignored.
    """
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise InvalidInstance([Problem("", "not_json", message)]) from None
    found = _places(document)
    if not found:
        raise InvalidInstance([Problem("", "no_points", "There are no points in this document.")])
    coordinates: list[list[float]] = []
    names: list[str | None] = []
    problems: list[Problem] = []
    for pointer, position, name in found:
        try:
            coordinates.append(_position(pointer, position))
            names.append(name)
        except InvalidInstance as error:
            problems += error.problems
            if len(problems) == MAX_PROBLEMS:
                break
    if problems:
        raise InvalidInstance(problems)
    return Points(
        coordinates, "HAVERSINE", names if any(name is not None for name in names) else None
    )


def write_tour_geojson(
    node_order: Sequence[int],
    coordinates: Sequence[Sequence[float]],
    *,
    cost: int | None = None,
    names: Sequence[str | None] | None = None,
    round_trip: bool = True,
) -> dict[str, Any]:
    """A FeatureCollection: the tour as a LineString, then its points in visiting order.

    Coordinates are [longitude, latitude] by node. Positions and nodes count from 0. The line of a
    round trip is closed, that of an open path (and its property `round_trip`) is not; that of a
    single point has it twice, since a line has two positions or more (RFC 7946, section 3.1.4).
    """
    closed = round_trip or len(node_order) == 1
    visits = [*node_order, node_order[0]] if closed else node_order
    way = [list(coordinates[node]) for node in visits]
    line = {"type": "LineString", "coordinates": way}
    about = {} if cost is None else {"cost": cost}
    features = [_feature(line, about if round_trip else about | {"round_trip": False})]
    for position, node in enumerate(node_order):
        point = {"type": "Point", "coordinates": way[position]}
        properties: dict[str, Any] = {"position": position, "node": node}
        if names is not None and names[node] is not None:
            properties["name"] = names[node]
        features.append(_feature(point, properties))
    return {"type": "FeatureCollection", "features": features}


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _wrong(pointer: str, found: object) -> InvalidInstance:
    kind = found.get("type") if isinstance(found, dict) else None
    what = f"a {kind}" if isinstance(kind, str) and kind.isalpha() and len(kind) < 40 else "this"
    return InvalidInstance([Problem(pointer, "no_point_set", f"{_EXPECTED}, not {what}.")])


def _places(document: Any) -> list[tuple[str, Any, str | None]]:
    """Pointer, position and name of every point; positions are not checked yet."""
    if isinstance(document, list):
        return [_place(f"/{i}", item) for i, item in enumerate(document)]
    if not isinstance(document, dict):
        raise _wrong("", document)
    _check_crs(document)
    if document.get("type") == "Feature" and isinstance(document.get("geometry"), dict):
        return _places_in_geometry("/geometry", document["geometry"])
    if document.get("type") == "FeatureCollection":
        return [
            _place(f"/features/{i}", item)
            for i, item in enumerate(_members("", document, "features"))
        ]
    return _places_in_geometry("", document)


def _places_in_geometry(
    pointer: str, geometry: dict[str, Any]
) -> list[tuple[str, Any, str | None]]:
    if geometry.get("type") == "MultiPoint":
        positions = _members(pointer, geometry, "coordinates")
        return [(f"{pointer}/coordinates/{i}", item, None) for i, item in enumerate(positions)]
    if geometry.get("type") == "GeometryCollection":
        geometries = _members(pointer, geometry, "geometries")
        return [_place(f"{pointer}/geometries/{i}", item) for i, item in enumerate(geometries)]
    raise _wrong(f"{pointer}/type" if "type" in geometry else pointer, geometry)


def _members(pointer: str, document: dict[str, Any], key: str) -> list[Any]:
    members = document.get(key)
    if not isinstance(members, list):
        message = f"A {document['type']} has an array {key}."
        raise InvalidInstance([Problem(f"{pointer}/{key}", "no_point_set", message)])
    return members


def _place(pointer: str, item: Any) -> tuple[str, Any, str | None]:
    """One Point, bare or as a feature."""
    name = None
    if isinstance(item, dict) and item.get("type") == "Feature":
        properties = item.get("properties")
        name = _name(properties.get("name")) if isinstance(properties, dict) else None
        pointer, item = f"{pointer}/geometry", item.get("geometry")
    if not isinstance(item, dict):
        raise _wrong(pointer, item)
    if item.get("type") != "Point":
        raise _wrong(f"{pointer}/type" if "type" in item else pointer, item)
    return f"{pointer}/coordinates", item.get("coordinates"), name


def _name(name: object) -> str | None:
    if isinstance(name, bool) or not isinstance(name, str | int | float):
        return None
    return str(name) or None


def _position(pointer: str, position: Any) -> list[float]:
    if not isinstance(position, list) or not 2 <= len(position) <= 3:
        message = "A position is an array [longitude, latitude]."
        raise InvalidInstance([Problem(pointer, "no_position", message)])
    for axis, number in enumerate(position):
        if isinstance(number, bool) or not isinstance(number, int | float):
            problem = Problem(f"{pointer}/{axis}", "not_a_number", "A number is expected here.")
            raise InvalidInstance([problem])
    longitude, latitude = float(position[0]), float(position[1])
    if complaint := degree_complaint(longitude, latitude):
        raise InvalidInstance([Problem(pointer, "coordinate_out_of_range", complaint)])
    return [longitude, latitude]


def _check_crs(document: dict[str, Any]) -> None:
    """Documents from before RFC 7946 may name another reference system; reading on would lie."""
    if (crs := document.get("crs")) is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str) or not name.endswith(_WGS84):
        message = "Coordinates are longitude and latitude (WGS 84); reproject and leave crs out."
        raise InvalidInstance([Problem("/crs", "unsupported_crs", message)])

"""Points in tables and maps, and tours through them written the same way."""

from __future__ import annotations

import csv
import io
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.contract import InvalidInstance
from optimized_tsp.solvers.tsp.points import Points
from optimized_tsp.solvers.tsp.points_csv import read_points_csv, write_tour_csv
from optimized_tsp.solvers.tsp.points_geojson import read_points_geojson, write_tour_geojson

PLANE = Points([[1.0, 2.0], [3.5, -4.0]], "EUC_2D", None)
GLOBE = Points([[13.4, 52.5], [2.35, 48.85]], "HAVERSINE", ["Berlin", "Paris"])


@pytest.mark.parametrize(
    "table",
    [
        "x,y\n1,2\n3.5,-4\n",
        "y,x\n2,1\n-4,3.5\n",
        "X;Y\n1;2\n3.5;-4",
        "x\ty\r\n1\t2\r\n3.5\t-4\r\n",
        " x , y \n 1 , 2 \n 3.5 , -4 \n",
        '"x","y"\n"1","2"\n"3.5","-4"\n',
        "\n\nx,y\n\n1.0,2e0\n,\n\n35e-1,-4.\n\n",
        "\ufeffx,y\n1,2\n3.5,-4\n",
        "x,y\r1,2\r3.5,-4\r",
    ],
)
def test_tables_of_the_plane(table: str) -> None:
    assert read_points_csv(table) == PLANE
    assert read_points_csv(table.encode()) == PLANE


@pytest.mark.parametrize(
    "table",
    [
        "name,lon,lat\nBerlin,13.4,52.5\nParis,2.35,48.85\n",
        "lat;lng;id\n52.5;13.4;Berlin\n48.85;2.35;Paris\n",
        "Longitude,Latitude,Name\n13.4,52.5,Berlin\n2.35,48.85,Paris\n",
        "id,name,lon,lat\n7,Berlin,13.4,52.5\nParis,,2.35,48.85\n",
    ],
)
def test_tables_of_the_globe(table: str) -> None:
    assert read_points_csv(table) == GLOBE


def test_names_may_hold_anything() -> None:
    table = 'x,y,name\n1,2,"Frankfurt, ""Main""\nHbf"\n3.5,-4,Łódź\n'
    assert read_points_csv(table).names == ['Frankfurt, "Main"\nHbf', "Łódź"]


def test_only_some_points_have_names() -> None:
    assert read_points_csv("x,y,name\n1,2,\n3,4,b\n").names == [None, "b"]
    assert read_points_csv("x,y,name\n1,2,\n3,4,\n").names is None


BAD_TABLES: list[tuple[str, bytes, str, str]] = [
    # what, table, code, start of the message
    ("nothing", b"", "no_points", "line 1: "),
    ("only names", b"x,y\n", "no_points", "line 1: "),
    ("no names", b"1,2\n3,4\n", "unknown_column", "line 1: Unknown column '1'"),
    (
        "an unknown column",
        b"x,y,height\n1,2,3\n",
        "unknown_column",
        "line 1: Unknown column 'height'",
    ),
    ("an endless first line", b"x" * 200_000, "unknown_column", "line 1: Unknown column 'xxx"),
    ("an endless cell", b"x,y\n1," + b"2" * 200_000, "not_csv", "line 2: "),
    ("an empty column", b"x,y,\n1,2,\n", "unknown_column", "line 1: Unknown column ''"),
    ("no y", b"x,name\n1,a\n", "missing_column", "line 1: The column y"),
    ("no coordinates", b"name,id\na,b\n", "missing_column", "line 1: The coordinates"),
    ("two of x", b"x,X,y\n1,1,2\n", "ambiguous_column", "line 1: The columns 'x' and 'X'"),
    (
        "lon and lng",
        b"lon,lng,lat\n1,1,2\n",
        "ambiguous_column",
        "line 1: The columns 'lon' and 'lng'",
    ),
    ("x and lat", b"x,lat\n1,2\n", "ambiguous_column", "line 1: The coordinates"),
    ("plane and globe", b"x,y,lon,lat\n1,2,3,4\n", "ambiguous_column", "line 1: The coordinates"),
    (
        "a word",
        b"x,y\n1,2\n3,four\n",
        "not_a_number",
        "line 3, column y: A number is expected here, not 'four'",
    ),
    ("an empty cell", b"x,y\n1,2\n3,\n", "not_a_number", "line 3, column y: "),
    ("NaN", b"x,y\n1,nan\n", "not_a_number", "line 2, column y: "),
    ("infinity", b"x,y\ninf,1\n", "not_a_number", "line 2, column x: "),
    ("too large", b"x,y\n1e999,1\n", "number_too_large", "line 2, column x: "),
    (
        "a decimal comma",
        b"x;y\n1,5;2\n",
        "not_a_number",
        "line 2, column x: A number is expected here, not '1,5': write",
    ),
    (
        "decimal commas",
        b"x,y\n1,5,2,5\n",
        "wrong_count",
        "line 2: 2 columns are expected, not 4; write decimals",
    ),
    ("a short line", b"x,y\n\n1\n", "wrong_count", "line 3: 2 columns are expected, not 1"),
    ("a latitude of 91", b"lon,lat\n1,91\n", "coordinate_out_of_range", "line 2: A latitude"),
    ("a longitude of 181", b"lon,lat\n181,1\n", "coordinate_out_of_range", "line 2: A longitude"),
    ("an open quote", b'x,y\n1,2\n"3,4\n', "not_csv", "line 3: "),
    ("UTF-16", "x,y\n1,2\n".encode("utf-16"), "not_utf8", "line 1: "),
    ("Latin-1", "x,y,name\n1,2,Köln\n".encode("latin-1"), "not_utf8", "line 2: "),
    (
        "a line after a long name",
        b'name,x,y\n"a\nb",1,2\nc,3,d\n',
        "not_a_number",
        "line 4, column y: ",
    ),
]


@pytest.mark.parametrize(
    ("table", "code", "message"),
    [bad[1:] for bad in BAD_TABLES],
    ids=[bad[0] for bad in BAD_TABLES],
)
def test_bad_tables(table: bytes, code: str, message: str) -> None:
    with pytest.raises(InvalidInstance) as caught:
        read_points_csv(table)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code) == ("", code), problem
    assert problem.message.startswith(message)


def test_many_bad_lines_are_listed_up_to_a_limit() -> None:
    with pytest.raises(InvalidInstance) as caught:
        read_points_csv("x,y\n" + "1,a\n" * 500)
    messages = [problem.message for problem in caught.value.problems]
    assert len(messages) == 100
    assert messages[-1].startswith("line 101, ")


COLLECTION: dict[str, Any] = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Point", "coordinates": [*point, 34.0]},
        }
        for name, point in zip(["Berlin", "Paris"], GLOBE.coordinates, strict=True)
    ],
}
MULTIPOINT = {"type": "MultiPoint", "coordinates": GLOBE.coordinates}
POINTS = [{"type": "Point", "coordinates": point} for point in GLOBE.coordinates]


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (COLLECTION, True),
        (COLLECTION["features"], True),
        (MULTIPOINT, False),
        ({"type": "Feature", "properties": None, "geometry": MULTIPOINT}, False),
        (POINTS, False),
        ({"type": "GeometryCollection", "geometries": POINTS}, False),
        (MULTIPOINT | {"bbox": [2, 48, 14, 53]}, False),
        (MULTIPOINT | {"crs": {"properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}, False),
    ],
)
def test_maps(document: object, named: bool) -> None:  # noqa: FBT001
    points = read_points_geojson(orjson.dumps(document))
    assert (points.coordinates, points.metric) == (GLOBE.coordinates, "HAVERSINE")
    assert points.names == (GLOBE.names if named else None)


def collection(*features: object) -> dict[str, object]:
    return {"type": "FeatureCollection", "features": list(features)}


def feature(geometry: object, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def point(*coordinates: object) -> dict[str, object]:
    return {"type": "Point", "coordinates": list(coordinates)}


LINE = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
BAD_MAPS: list[tuple[object, str, str]] = [
    # document, pointer, code
    ("text", "", "no_point_set"),
    (None, "", "no_point_set"),
    ({}, "", "no_point_set"),
    ([], "", "no_points"),
    (collection(), "", "no_points"),
    ({"type": 7}, "/type", "no_point_set"),
    (LINE, "/type", "no_point_set"),
    (point(1, 2), "/type", "no_point_set"),
    (feature(LINE), "/geometry/type", "no_point_set"),
    (feature(None), "/type", "no_point_set"),
    ({"type": "FeatureCollection"}, "/features", "no_point_set"),
    ({"type": "FeatureCollection", "features": {}}, "/features", "no_point_set"),
    ({"type": "MultiPoint", "coordinates": 1}, "/coordinates", "no_point_set"),
    ({"type": "GeometryCollection"}, "/geometries", "no_point_set"),
    (collection(feature(point(1, 2)), feature(LINE)), "/features/1/geometry/type", "no_point_set"),
    (collection(feature(point(1, 2)), feature(None)), "/features/1/geometry", "no_point_set"),
    (collection(feature(MULTIPOINT)), "/features/0/geometry/type", "no_point_set"),
    (collection(7), "/features/0", "no_point_set"),
    ([[1, 2]], "/0", "no_point_set"),
    ([point(1)], "/0/coordinates", "no_position"),
    ([point(1, 2, 3, 4)], "/0/coordinates", "no_position"),
    ([{"type": "Point"}], "/0/coordinates", "no_position"),
    ([point(1, "2")], "/0/coordinates/1", "not_a_number"),
    ([point(*[True, 2])], "/0/coordinates/0", "not_a_number"),
    ([point(None, 2)], "/0/coordinates/0", "not_a_number"),
    ([point(1, 91)], "/0/coordinates", "coordinate_out_of_range"),
    ([point(-181, 2)], "/0/coordinates", "coordinate_out_of_range"),
    (MULTIPOINT | {"crs": {"properties": {"name": "EPSG:3857"}}}, "/crs", "unsupported_crs"),
    (MULTIPOINT | {"crs": [[]]}, "/crs", "unsupported_crs"),
]


@pytest.mark.parametrize(("document", "pointer", "code"), BAD_MAPS)
def test_bad_maps(document: object, pointer: str, code: str) -> None:
    with pytest.raises(InvalidInstance) as caught:
        read_points_geojson(orjson.dumps(document))
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code) == (pointer, code), problem


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 5000, b"\xff", b"[NaN]", b"1e400"])
def test_what_is_not_json(content: bytes) -> None:
    with pytest.raises(InvalidInstance) as caught:
        read_points_geojson(content)
    assert caught.value.problems[0].code == "not_json"


def test_all_bad_positions_are_listed_up_to_a_limit() -> None:
    with pytest.raises(InvalidInstance) as caught:
        read_points_geojson(orjson.dumps([point(1, 91)] * 500))
    assert [p.pointer for p in caught.value.problems] == [f"/{i}/coordinates" for i in range(100)]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-400, 400) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "features", "coordinates", "geometry", "properties", "crs"]),
            inner | st.sampled_from(["FeatureCollection", "Feature", "Point", "MultiPoint"]),
            max_size=4,
        )
    ),
)


@settings(deadline=None)
@given(json_values)
def test_any_json(document: object) -> None:
    try:
        points = read_points_geojson(orjson.dumps(document))
    except InvalidInstance as error:
        refused = error.problems
    else:
        refused = []
        assert all(abs(lon) <= 180 and abs(lat) <= 90 for lon, lat in points.coordinates)
    assert all(problem.message for problem in refused)


@settings(deadline=None)
@given(st.text() | st.text(alphabet='xy,;\t\n\r"01.e- lonatid'))
def test_any_table(text: str) -> None:
    for table in (text, "x,y\n" + text, text.encode(errors="replace")):
        try:
            points = read_points_csv(table)
        except InvalidInstance as error:
            refused = error.problems
        else:
            refused = []
            assert points.coordinates
        assert all(problem.message.startswith("line ") for problem in refused)


def test_a_tour_as_a_table() -> None:
    table = write_tour_csv(
        [1, 0], coordinates=GLOBE.coordinates, metric="HAVERSINE", names=GLOBE.names
    )
    assert table == "position,node,name,lon,lat\r\n0,1,Paris,2.35,48.85\r\n1,0,Berlin,13.4,52.5\r\n"
    assert write_tour_csv([0, 1], coordinates=PLANE.coordinates, metric="EUC_2D") == (
        "position,node,x,y\r\n0,0,1.0,2.0\r\n1,1,3.5,-4.0\r\n"
    )
    assert write_tour_csv([0, 2, 1]) == "position,node\r\n0,0\r\n1,2\r\n2,1\r\n"
    assert write_tour_csv([0], coordinates=[[1, 2, 3]]) == "position,node,x,y,z\r\n0,0,1,2,3\r\n"


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=1))
def test_names_survive_in_tables(names: list[str]) -> None:
    table = write_tour_csv(range(len(names)), names=names)
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert [row["name"] for row in rows] == names


def test_a_tour_as_a_map() -> None:
    document = write_tour_geojson([1, 0], GLOBE.coordinates, cost=5, names=["Berlin", None])
    line, first, second = document["features"]
    assert document["type"] == "FeatureCollection"
    assert line["geometry"] == {
        "type": "LineString",
        "coordinates": [[2.35, 48.85], [13.4, 52.5], [2.35, 48.85]],
    }
    assert line["properties"] == {"cost": 5}
    assert first["geometry"] == {"type": "Point", "coordinates": [2.35, 48.85]}
    assert first["properties"] == {"position": 0, "node": 1}
    assert second["properties"] == {"position": 1, "node": 0, "name": "Berlin"}


def test_the_points_of_a_tour_can_be_read_again() -> None:
    document = write_tour_geojson([0, 1], GLOBE.coordinates, names=GLOBE.names)
    document["features"] = document["features"][1:]
    assert read_points_geojson(orjson.dumps(document)) == GLOBE


def test_points_become_an_instance() -> None:
    assert PLANE.instance() == {"coordinates": [[1.0, 2.0], [3.5, -4.0]], "metric": "EUC_2D"}
    assert GLOBE.instance() == {
        "coordinates": GLOBE.coordinates,
        "metric": "HAVERSINE",
        "names": ["Berlin", "Paris"],
    }


def test_an_open_path_as_a_map_has_no_way_back() -> None:
    document = write_tour_geojson([1, 0], GLOBE.coordinates, cost=5, round_trip=False)
    line, *points = document["features"]
    assert line["geometry"]["coordinates"] == [[2.35, 48.85], [13.4, 52.5]]
    assert line["properties"] == {"cost": 5, "round_trip": False}
    assert len(points) == 2


def test_the_line_of_a_single_point_has_two_positions() -> None:
    document = write_tour_geojson([0], [[1.0, 2.0]], round_trip=False)
    assert document["features"][0]["geometry"]["coordinates"] == [[1.0, 2.0], [1.0, 2.0]]

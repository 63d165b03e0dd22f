"""Tours as pictures: closed or open, the right way up, and well-formed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from optimized_tsp.solvers.tsp.tour_svg import write_tour_svg

SVG = "{http://www.w3.org/2000/svg}"
POINTS = [[0.0, 0.0], [10.0, 0.0], [10.0, 5.0]]


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own text


def test_a_round_trip_is_closed() -> None:
    picture = parsed(write_tour_svg([0, 1, 2], POINTS))
    (line,) = picture.findall(f"{SVG}polygon")
    assert line.get("points") == "30.0,500.0 970.0,500.0 970.0,30.0"
    assert [dot.get("class") for dot in picture.findall(f"{SVG}circle")] == [None, None, "start"]


def test_an_open_path_is_not_and_shows_its_ends() -> None:
    picture = parsed(write_tour_svg([0, 1, 2], POINTS, round_trip=False))
    assert picture.find(f"{SVG}polygon") is None
    assert picture.find(f"{SVG}polyline") is not None
    assert [dot.get("class") for dot in picture.findall(f"{SVG}circle")] == [None, "end", "start"]


def test_latitudes_go_upwards() -> None:
    swapped = [[y, x] for x, y in POINTS]
    assert write_tour_svg([0, 1, 2], swapped, latitude_first=True) == write_tour_svg(
        [0, 1, 2], POINTS
    )


@pytest.mark.parametrize("round_trip", [True, False])
@pytest.mark.parametrize("num_nodes", [1, 2, 3])
def test_points_in_one_place(num_nodes: int, round_trip: bool) -> None:  # noqa: FBT001
    text = write_tour_svg(range(num_nodes), [[1.0, 1.0]] * num_nodes, round_trip=round_trip)
    assert len(parsed(text).findall(f"{SVG}circle")) == num_nodes

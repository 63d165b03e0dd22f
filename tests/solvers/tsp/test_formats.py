"""Tours on a map: which instances lie on the globe, and where."""

from __future__ import annotations

import json

import pytest

from optimized_tsp.solvers.contract import InvalidInstance
from optimized_tsp.solvers.tsp import TspInstance, TspSolution
from optimized_tsp.solvers.tsp.formats import BESIDE, READERS, WRITERS
from optimized_tsp.solvers.tsp.metrics import decimal_degrees, geo_radians

# Degrees and minutes, latitude first: 38 24' N 20 42' E, 39 57' N 26 15' E, 33 30' S 0 36' W
DEGREES_AND_MINUTES = [[38.24, 20.42], [39.57, 26.15], [-33.30, -0.36]]
ON_A_MAP = [[20.7, 38.4], [26.25, 39.95], [-0.6, -33.5]]
ORDER = [0, 2, 1]


def file_of(metric: str) -> str:
    rows = "".join(f"{i} {x} {y}\n" for i, (x, y) in enumerate(DEGREES_AND_MINUTES, 1))
    head = f"TYPE: TSP\nDIMENSION: 3\nEDGE_WEIGHT_TYPE: {metric}\nNODE_COORD_SECTION\n"
    return head + rows + "EOF\n"


def drawn(instance: TspInstance) -> list[list[float]]:
    tour = TspSolution(node_order=ORDER, cost=1)
    document = json.loads(WRITERS["application/geo+json"](instance, tour))
    line: list[list[float]] = document["features"][0]["geometry"]["coordinates"]
    return line


@pytest.mark.parametrize(
    "instance",
    [
        TspInstance(tsplib=file_of("GEO")),
        TspInstance(coordinates=DEGREES_AND_MINUTES, metric="GEO"),
        TspInstance(coordinates=ON_A_MAP, metric="HAVERSINE"),
    ],
    ids=["file", "coordinates", "haversine"],
)
def test_places_on_the_globe_are_longitude_and_latitude_in_decimal_degrees(
    instance: TspInstance,
) -> None:
    assert drawn(instance) == [ON_A_MAP[node] for node in [*ORDER, ORDER[0]]]


def test_an_open_path_through_such_places_stays_open() -> None:
    instance = TspInstance(tsplib=file_of("GEO"), round_trip=False)
    assert drawn(instance) == [ON_A_MAP[node] for node in ORDER]


@pytest.mark.parametrize("metric", ["EUC_2D", "ATT", "CEIL_2D", "MAN_2D", "MAX_2D"])
def test_a_plane_is_no_map(metric: str) -> None:
    tour = TspSolution(node_order=ORDER, cost=1)
    flat = {"coordinates": DEGREES_AND_MINUTES, "metric": metric}
    for given in ({"tsplib": file_of(metric)}, flat):
        with pytest.raises(InvalidInstance, match="on a map"):
            WRITERS["application/geo+json"](TspInstance.model_validate(given), tour)


@pytest.mark.parametrize("degrees", [-180.0, -74.006, -0.3, 0.0, 0.59, 38.24, 90.0, 179.5999])
def test_decimal_degrees_are_those_that_distances_are_reckoned_from(degrees: float) -> None:
    by_tsplib = geo_radians(degrees) * 180.0 / 3.141592  # its pi
    assert decimal_degrees(degrees) == pytest.approx(by_tsplib, abs=1e-7)


def test_what_may_come_beside_a_body_is_no_word_of_its_format() -> None:
    bodies = {
        "text/csv": b"x,y\n0,0\n",
        "application/geo+json": b'{"type": "MultiPoint", "coordinates": [[0, 0]]}',
        "application/x-tsplib": file_of("GEO").encode(),
    }
    assert set(BESIDE) == set(READERS) == set(bodies)
    for kind, body in bodies.items():
        assert not set(BESIDE[kind]) & set(READERS[kind](body))

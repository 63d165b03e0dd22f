"""Fields of an instance that a table, a map or a file has no word for: they come in the query."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from optimized_tsp.solvers.tsp.formats import BESIDE
from tests.api.conftest import JOBS, TRIANGLE

CSV = "lon,lat\n7.1,50.7\n2.35,48.86\n12.5,41.9\n"
GEOJSON = '{"type": "MultiPoint", "coordinates": [[7.1, 50.7], [2.35, 48.86], [12.5, 41.9]]}'
TSPLIB = (
    "TYPE: TSP\nDIMENSION: 3\nEDGE_WEIGHT_TYPE: EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 3 0\n3 0 4\n"
)
BODIES = {"text/csv": CSV, "application/geo+json": GEOJSON, "application/x-tsplib": TSPLIB}
OPEN = {"start": 2, "end": 0, "round_trip": False}


async def post(
    client: httpx.AsyncClient, kind: str, query: dict[str, Any], path: str = JOBS
) -> httpx.Response:
    headers = {"content-type": kind}
    return await client.post(path, content=BODIES[kind], headers=headers, params=query)


@pytest.mark.parametrize("kind", BODIES)
async def test_an_open_path_may_be_asked_for_beside_every_format(
    client: httpx.AsyncClient, kind: str
) -> None:
    submitted = await post(client, kind, OPEN)
    assert submitted.status_code == 202, submitted.text

    # Then the stored problem is the same as in JSON
    instance = (await client.get(f"{submitted.headers['location']}/instance")).json()
    assert {name: instance[name] for name in OPEN} == OPEN
    without = (await post(client, kind, {})).headers["location"]
    body = {"tsp_instance": (await client.get(f"{without}/instance")).json() | OPEN}
    as_json = await client.post(JOBS, json=body)
    assert (await client.get(f"{as_json.headers['location']}/instance")).json() == instance
    # And it is looked at before a job is made, too
    checked = await post(client, kind, OPEN, f"{JOBS}/validate")
    assert checked.status_code == 200


@pytest.mark.parametrize("kind", ["text/csv", "application/geo+json"])
async def test_distances_between_points_may_be_scaled(client: httpx.AsyncClient, kind: str) -> None:
    submitted = await post(client, kind, {"scale": "0.001"})
    instance = (await client.get(f"{submitted.headers['location']}/instance")).json()
    assert instance["scale"] == 0.001


@pytest.mark.parametrize(
    ("query", "place", "code"),
    [
        # What the value itself cannot be
        ({"start": "-1"}, "/query/start", "greater_than_equal"),
        ({"end": "1.5", "round_trip": "false"}, "/query/end", "int_parsing"),
        ({"round_trip": "perhaps"}, "/query/round_trip", "bool_parsing"),
        ({"start": ""}, "/query/start", "int_parsing"),
        ({"scale": "nan"}, "/query/scale", "finite_number"),
        ({"scale": "0"}, "/query/scale", "greater_than"),
        # What it cannot be beside these points
        ({"start": "3"}, "/query/start", "node_out_of_range"),
        ({"end": "2"}, "/query/end", "end_of_round_trip"),
        ({"timeout": "1e9"}, "/query/timeout", "timeout_too_large"),
        ({"webhook_url": "ftp://x"}, "/query/webhook_url", "refused_url"),
        # What there is not
        ({"star": "1"}, "/query/star", "unknown_parameter"),
        ({"start": ["1", "2"]}, "/query/start", "repeated_parameter"),
    ],
)
async def test_errors_name_the_parameter(
    client: httpx.AsyncClient, query: dict[str, Any], place: str, code: str
) -> None:
    for path in (JOBS, f"{JOBS}/validate"):
        refused = await post(client, "text/csv", query, path)
        assert refused.status_code == 422, refused.text
        (problem,) = refused.json()["errors"]
        assert (problem["pointer"], problem["code"]) == (place, code)


async def test_errors_of_the_body_keep_their_places(client: httpx.AsyncClient) -> None:
    body = {"type": "MultiPoint", "coordinates": [[7.1, 50.7], [200, 0]]}
    refused = await client.post(
        JOBS,
        content=orjson.dumps(body),
        headers={"content-type": "application/geo+json"},
        params={"start": 1},
    )
    assert [problem["pointer"] for problem in refused.json()["errors"]] == ["/coordinates/1"]


async def test_a_format_that_says_something_itself_does_not_take_it_beside(
    client: httpx.AsyncClient,
) -> None:
    refused = await post(client, "application/x-tsplib", {"scale": "2", "start": "1"})
    assert refused.status_code == 422
    (problem,) = refused.json()["errors"]
    assert (problem["pointer"], problem["code"]) == ("/query/scale", "not_for_this_type")


@pytest.mark.parametrize("path", [JOBS, f"{JOBS}/validate"])
async def test_beside_json_nothing_of_it_is_taken(client: httpx.AsyncClient, path: str) -> None:
    query = {"start": "0", "round_trip": "true", "timeout": "5"}
    refused = await client.post(path, json=TRIANGLE, params=query)
    assert refused.status_code == 422
    assert {(p["pointer"], p["code"]) for p in refused.json()["errors"]} == {
        (f"/query/{name}", "belongs_into_body") for name in query
    }


async def test_the_parameters_are_documented_where_they_are(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]

    def parameters(path: str) -> dict[str, Any]:
        found = paths[path]["post"]["parameters"]
        return {one["name"]: one for one in found if one["in"] == "query"}

    said = {name for names in BESIDE.values() for name in names}
    for path in (JOBS, f"{JOBS}/validate"):
        assert said <= set(parameters(path))
    start, back = parameters(JOBS)["start"], parameters(JOBS)["round_trip"]
    assert start["schema"]["type"] == "integer"
    assert start["schema"]["minimum"] == 0
    assert "application/x-tsplib" in start["description"]
    assert (back["schema"]["type"], back["schema"]["default"]) == ("boolean", True)
    assert "application/x-tsplib" not in parameters(JOBS)["scale"]["description"]
    assert not said & set(parameters("/knapsack_solver/v1/jobs"))

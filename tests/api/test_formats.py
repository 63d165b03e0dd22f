"""Points as tables and maps, tours as TSPLIB files, tables and maps, and looks before solving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from optimized_tsp.jobs import leases
from optimized_tsp.jobs.answers import Answer, finish
from optimized_tsp.jobs.services import Services
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from tests.api.conftest import JOBS, TRIANGLE

CSV = "name,lon,lat\nBonn,7.1,50.7\nParis,2.35,48.86\nRome,12.5,41.9\n"
GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "Point", "coordinates": coordinates},
        }
        for coordinates in ([7.1, 50.7], [2.35, 48.86], [12.5, 41.9])
    ],
}
Solve = Callable[[httpx.Response], Awaitable[str]]


@pytest.fixture
def solve(app: FastAPI) -> Solve:
    """Ends the submitted job with the tour 0, 1, 2; returns the address of its solution."""
    services: Services = app.state.services

    async def solve(submitted: httpx.Response) -> str:
        assert submitted.status_code == 202, submitted.text
        tour = {"node_order": [0, 1, 2], "cost": 6}
        answer = Answer(SolutionStatus.FEASIBLE, StopReason.TIME_LIMIT, tour, 3, None, None, 0.1)
        claim = await leases.claim_next(services.database, worker="test", lease_s=15)
        assert claim is not None
        async with services.database.write() as session:
            await finish(session, claim, answer)
        return f"{submitted.headers['location']}/solution"

    return solve


async def post(client: httpx.AsyncClient, body: Any, kind: str, query: str = "") -> httpx.Response:
    content = body if isinstance(body, str | bytes) else orjson.dumps(body)
    return await client.post(f"{JOBS}{query}", content=content, headers={"content-type": kind})


@pytest.mark.parametrize(
    ("body", "kind"), [(CSV, "text/csv"), (GEOJSON, "application/geo+json")], ids=["csv", "geojson"]
)
async def test_points_of_a_table_or_a_map_are_a_problem(
    client: httpx.AsyncClient, body: Any, kind: str
) -> None:
    query = "?name=three&timeout=5&tag=team:north&tag=week:47"
    submitted = await post(client, body, kind, query)

    job = submitted.json()
    assert submitted.status_code == 202, submitted.text
    assert (job["name"], job["timeout"]) == ("three", 5)
    assert job["tags"] == {"team": "north", "week": "47"}
    instance = (await client.get(f"{submitted.headers['location']}/instance")).json()
    assert instance["metric"] == "HAVERSINE"
    assert instance["coordinates"][1] == [2.35, 48.86]


@pytest.mark.parametrize(
    ("accept", "kind", "shows"),
    [
        ("application/x-tsplib-tour", "application/x-tsplib-tour", "TOUR_SECTION\n1\n2\n3\n-1"),
        ("text/csv", "text/csv", "position,node,name,lon,lat\n0,0,Bonn,7.1,50.7"),
        ("application/geo+json", "application/geo+json", '"LineString"'),
        ("text/*;q=0.5, application/geo+json;q=0.1", "text/csv", "position"),
        ("*/*", "application/json", '"node_order"'),
        # The most exact range decides, wherever it stands; q=0 excludes.
        ("application/json;q=0, */*", "application/x-tsplib-tour", "TOUR_SECTION"),
        (
            "*/*, application/json;q=0.1, application/*;q=0.2, text/csv;q=0.3",
            "text/csv",
            "position",
        ),
        ("*/*, text/csv", "text/csv", "position"),
        ("application/json;q=0, application/*;q=0, text/*;q=0.001", "text/csv", "position"),
        ("TEXT/CSV; charset=utf-8; Q=1.0", "text/csv", "position"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json", '"node_order"'),
        ("", "application/json", '"node_order"'),
    ],
)
async def test_a_tour_comes_in_the_form_that_is_asked_for(
    client: httpx.AsyncClient, solve: Solve, accept: str, kind: str, shows: str
) -> None:
    url = await solve(await post(client, CSV, "text/csv"))
    response = await client.get(url, headers={"accept": accept})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].partition(";")[0] == kind
    assert shows in response.text.replace("\r\n", "\n")


async def test_what_cannot_be_shown_so_is_406(client: httpx.AsyncClient, solve: Solve) -> None:
    url = await solve(await client.post(JOBS, json=TRIANGLE))
    for accept in ("image/png", "application/geo+json", "*/*;q=0", "application/json;q=0.0"):
        response = await client.get(url, headers={"accept": accept})
        assert response.status_code == 406, accept
        assert response.headers["content-type"] == "application/problem+json"


async def test_a_tsplib_file_is_posted_as_it_is(client: httpx.AsyncClient, solve: Solve) -> None:
    head = "NAME: drei\nCOMMENT: J\xfcrgen\nTYPE: TSP\nDIMENSION: 3\nEDGE_WEIGHT_TYPE: EUC_2D\n"
    file = f"{head}NODE_COORD_SECTION\n1 0 0\n2 3 0\n3 0 4\nEOF\n".encode("latin-1")

    submitted = await post(client, file, "application/x-tsplib", "?name=three")
    broken = await post(client, file.replace(b"3 0 4", b"3 0 four"), "application/x-tsplib")

    instance = (await client.get(f"{submitted.headers['location']}/instance")).json()
    assert instance["tsplib"] == file.decode("latin-1")
    tour = await client.get(await solve(submitted), headers={"accept": "text/csv"})
    assert tour.text.splitlines()[0].startswith("position,node,")
    assert broken.status_code == 422
    assert "line 9" in broken.json()["errors"][0]["message"]


async def test_a_broken_table_is_refused_with_its_line(client: httpx.AsyncClient) -> None:
    response = await post(client, "x,y\n1,2\n3,four\n", "text/csv")
    assert response.status_code == 422
    assert "line 3" in response.json()["errors"][0]["message"]


async def test_what_belongs_into_the_body_is_refused_beside_it(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{JOBS}?name=beside", json=TRIANGLE)
    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "belongs_into_body"


async def test_validate_says_what_would_happen_and_stores_nothing(
    client: httpx.AsyncClient,
) -> None:
    cut_off = {"num_nodes": 3, "edges": [{"source": 0, "target": 1, "cost": 1}]}

    fine = await client.post(f"{JOBS}/validate", json=TRIANGLE)
    infeasible = await client.post(f"{JOBS}/validate", json={"tsp_instance": cut_off})
    wrong = await client.post(f"{JOBS}/validate", json={"tsp_instance": {}})

    assert fine.status_code == 200
    assert (fine.json()["num_nodes"], fine.json()["num_edges"]) == (3, 6)
    assert fine.json()["is_infeasible"] is None
    assert infeasible.json()["is_infeasible"] is True
    assert infeasible.json()["infeasibility"]["nodes"] == [1, 2]
    assert wrong.status_code == 422
    assert (await client.get(JOBS)).json() == []


async def test_what_was_probably_not_meant_is_said(client: httpx.AsyncClient) -> None:
    tiny = {"coordinates": [[0, 0], [0.1, 0], [0, 0.1]], "metric": "EUC_2D"}
    swapped = {"coordinates": [[40.7, -74.0], [41.9, -87.6]], "metric": "HAVERSINE"}

    async def warnings(instance: dict[str, Any]) -> list[str]:
        job = (await client.post(JOBS, json={"tsp_instance": instance})).json()
        return [warning["code"] for warning in job["warnings"]]

    assert await warnings(tiny) == ["many_zero_distances"]
    assert await warnings(tiny | {"scale": 1000}) == []
    assert await warnings(swapped) == ["swapped_degrees"]


async def test_a_large_body_is_parsed_elsewhere_and_answered_alike(
    client: httpx.AsyncClient,
) -> None:
    edges = [
        {"source": i, "target": (i + step) % 900, "cost": 10**9 + i}
        for i in range(900)
        for step in (1, 2, 3, 5)
    ]
    body = {"tsp_instance": {"num_nodes": 900, "edges": edges}}
    assert len(orjson.dumps(body)) > 128 * 1024
    good = await client.post(JOBS, json=body)
    edges[2500]["cost"] = -1
    bad = await client.post(JOBS, json=body)

    assert good.status_code == 202
    assert bad.status_code == 422
    assert bad.json()["errors"][0]["pointer"] == "/tsp_instance/edges/2500/cost"

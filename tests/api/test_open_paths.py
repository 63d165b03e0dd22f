"""Open paths from the body of a request to the written tour, by the real service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.conftest import JOBS
from tests.stack import RunningStack

CITIES = {
    "coordinates": [[-9.15, 38.73], [24.94, 60.17], [-3.7, 40.42], [2.35, 48.86], [13.41, 52.52]],
    "metric": "HAVERSINE",
    "names": ["Lisbon", "Helsinki", "Madrid", "Paris", None],
}
NORTHWARDS = [0, 2, 3, 4, 1]


async def solved(client: httpx.AsyncClient, instance: dict[str, Any]) -> str:
    """Address of the solution of a job that has ended."""
    response = await client.post(
        JOBS, json={"tsp_instance": instance}, headers={"prefer": "wait=60"}
    )
    assert response.status_code == 200, response.text
    job = response.json()
    assert (job["status"], job["error"]) == ("Completed", None)
    return f"{JOBS}/{job['task_id']}/solution"


async def test_an_open_path_is_solved_and_written_in_every_form(
    running_stack: RunningStack,
) -> None:
    async with httpx.AsyncClient(base_url=running_stack.base_url, timeout=90.0) as client:
        path = {"start": 0, "end": 1, "round_trip": False}
        url = await solved(client, CITIES | path)
        solution = (await client.get(url)).json()
        written = {
            kind: (await client.get(url, headers={"accept": kind})).text
            for kind in ("application/x-tsplib-tour", "text/csv", "application/geo+json")
        }
        round_trip = (await client.get(await solved(client, CITIES | {"start": 3}))).json()

    assert solution["node_order"] == NORTHWARDS
    assert solution["cost"] == solution["lower_bound"]
    assert "Open path" in written["application/x-tsplib-tour"]
    names = [line.split(",")[2] for line in written["text/csv"].split()[1:]]
    assert names == ["Lisbon", "Madrid", "Paris", "", "Helsinki"]
    assert '"name": "Helsinki"' in written["application/geo+json"]
    assert '"round_trip": false' in written["application/geo+json"]
    assert round_trip["node_order"][0] == 3
    assert round_trip["cost"] > solution["cost"]


@pytest.mark.parametrize(("start", "kind"), [(0, None), (1, "no_outgoing_edge")])
async def test_what_can_be_said_of_a_path_before_it_is_solved(
    client: httpx.AsyncClient, start: int, kind: str | None
) -> None:
    """A line of three nodes has no round trip, and a path only from one of its ends."""
    edges = [{"source": a, "target": b, "cost": 1} for a, b in [(0, 1), (1, 0), (1, 2), (2, 1)]]
    instance = {"num_nodes": 3, "edges": edges, "start": start, "round_trip": False}
    answer = (await client.post(f"{JOBS}/validate", json={"tsp_instance": instance})).json()

    assert answer["is_infeasible"] == (True if kind else None)
    if kind:
        assert answer["infeasibility"]["kind"] == kind


async def test_where_a_tour_begins_is_part_of_the_instance(client: httpx.AsyncClient) -> None:
    """Jobs that differ in nothing but the ends are no repetitions of each other."""
    job = (await client.post(JOBS, json={"tsp_instance": CITIES | {"start": 2}})).json()
    stored = (await client.get(f"{JOBS}/{job['task_id']}/instance")).json()

    assert stored == CITIES | {"start": 2}

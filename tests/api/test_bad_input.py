"""Bad input gets a clear problem document with pointers, and nothing is stored."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from optimized_tsp.jobs.models import Instance, Job
from tests.api.conftest import JOBS

JSON = {"content-type": "application/json"}


def edge(cost: str = "1", source: str = "0", target: str = "1") -> str:
    one = f'{{"source": {source}, "target": {target}, "cost": {cost}}}'
    return f'{{"tsp_instance": {{"num_nodes": 2, "edges": [{one}]}}}}'


def with_instance(instance: str, rest: str = "") -> str:
    return f'{{"tsp_instance": {instance}{rest}}}'


NETWORK = ', "webhook_url": "https://10.0.0.1/"'
GOOD = '{"matrix": [[null, 1], [1, null]]}'
COST = "/tsp_instance/edges/0/cost"
ITEM = '{"value": 1, "weight": 1}'

CASES: list[tuple[str, str, str]] = [
    # what, body, the pointer that must be named
    ("not JSON", "{", ""),
    ("empty", "", ""),
    ("a JSON string", '"tour"', ""),
    ("nothing", "{}", "/tsp_instance"),
    ("true as a cost", edge("true"), COST),
    ("a string as a cost", edge('"12"'), COST),
    ("NaN", edge("NaN"), ""),
    ("Infinity", edge("Infinity"), ""),
    ("1e400", edge("1e400"), ""),
    ("2^70", edge(str(2**70)), COST),
    ("2^53", edge(str(2**53)), COST),
    ("a fraction", edge("1.5"), COST),
    ("a negative cost", edge("-1"), COST),
    ("a negative node", edge(source="-1"), "/tsp_instance/edges/0/source"),
    ("a node out of range", edge(target="2"), "/tsp_instance/edges/0/target"),
    ("a self loop", edge(target="0"), "/tsp_instance/edges/0"),
    (
        "an inexact sum",
        with_instance(f'{{"matrix": [[null, {2**52}], [1, null]]}}'),
        "/tsp_instance/matrix/0/1",
    ),
    ("an empty instance", with_instance("{}"), "/tsp_instance"),
    ("no nodes", with_instance('{"num_nodes": 0, "edges": []}'), "/tsp_instance/num_nodes"),
    ("an empty matrix", with_instance('{"matrix": []}'), "/tsp_instance/matrix"),
    (
        "a matrix that is not square",
        with_instance('{"matrix": [[1, 2]]}'),
        "/tsp_instance/matrix/0",
    ),
    (
        "two forms at once",
        with_instance('{"matrix": [[1]], "coordinates": [[0, 0]], "metric": "EUC_2D"}'),
        "/tsp_instance",
    ),
    ("no metric", with_instance('{"coordinates": [[0, 0], [1, 1]]}'), "/tsp_instance"),
    (
        "an unknown metric",
        with_instance('{"coordinates": [[0, 0], [1, 1]], "metric": "L7"}'),
        "/tsp_instance/metric",
    ),
    ("no TSPLIB file", with_instance('{"tsplib": "nonsense"}'), "/tsp_instance/tsplib"),
    ("an empty TSPLIB file", with_instance('{"tsplib": ""}'), "/tsp_instance/tsplib"),
    (
        "a huge TSPLIB file",
        with_instance('{"tsplib": "TYPE: TSP\\nDIMENSION: 99999999999"}'),
        "/tsp_instance/tsplib",
    ),
    (
        "a TSPLIB file and a matrix",
        with_instance('{"tsplib": "TYPE: TSP", "matrix": [[1]]}'),
        "/tsp_instance",
    ),
    (
        "a start that does not exist",
        with_instance('{"matrix": [[0, 1], [1, 0]], "start": 2}'),
        "/tsp_instance/start",
    ),
    (
        "an end that does not exist",
        with_instance('{"matrix": [[0, 1], [1, 0]], "end": 2, "round_trip": false}'),
        "/tsp_instance/end",
    ),
    (
        "an end beyond the nodes of a file",
        with_instance(
            '{"tsplib": "TYPE: TSP\\nDIMENSION: 1\\nEDGE_WEIGHT_TYPE: EUC_2D\\n'
            'NODE_COORD_SECTION\\n1 0 0\\n", "end": 1, "round_trip": false}'
        ),
        "/tsp_instance/end",
    ),
    (
        "the end of a round trip",
        with_instance('{"matrix": [[0, 1], [1, 0]], "end": 1}'),
        "/tsp_instance/end",
    ),
    (
        "an end where the path starts",
        with_instance('{"matrix": [[0, 1], [1, 0]], "start": 1, "end": 1, "round_trip": false}'),
        "/tsp_instance/end",
    ),
    (
        "a negative start",
        with_instance('{"matrix": [[0, 1], [1, 0]], "start": -1}'),
        "/tsp_instance/start",
    ),
    (
        "a fraction as an end",
        with_instance('{"matrix": [[0, 1], [1, 0]], "end": 0.5}'),
        "/tsp_instance/end",
    ),
    (
        "a number as round_trip",
        with_instance('{"matrix": [[0, 1], [1, 0]], "round_trip": 0}'),
        "/tsp_instance/round_trip",
    ),
    (
        "too few names",
        with_instance('{"matrix": [[0, 1], [1, 0]], "names": ["a"]}'),
        "/tsp_instance/names",
    ),
    ("an unknown field", with_instance(GOOD, ', "colour": "red"'), "/colour"),
    (
        "no time",
        with_instance(GOOD, ', "optimization_parameters": {"timeout": 0}'),
        "/optimization_parameters/timeout",
    ),
    (
        "too much time",
        with_instance(GOOD, ', "optimization_parameters": {"timeout": 3601}'),
        "/optimization_parameters/timeout",
    ),
    (
        "true as a time limit",
        with_instance(GOOD, ', "optimization_parameters": {"timeout": true}'),
        "/optimization_parameters/timeout",
    ),
    (
        "a time limit as a string",
        with_instance(GOOD, ', "optimization_parameters": {"timeout": "60"}'),
        "/optimization_parameters/timeout",
    ),
    ("NUL in a name", with_instance(GOOD, ', "name": "a\\u0000b"'), "/name"),
    ("a lone surrogate in a name", with_instance(GOOD, ', "name": "\\ud800"'), ""),
    ("NUL in a tag", with_instance(GOOD, ', "tags": {"a": "\\u0000"}'), "/tags"),
    ("a number as a tag", with_instance(GOOD, ', "tags": {"a": 1}'), "/tags/a"),
    ("a long name", with_instance(GOOD, f', "name": "{"x" * 201}"'), "/name"),
    ("a webhook into the network", with_instance(GOOD, NETWORK), "/webhook_url"),
    ("too many nodes", with_instance('{"num_nodes": 1001, "edges": []}'), "/tsp_instance"),
]


TOO_MUCH = [
    ("/tsp_solver/v1/jobs", '{"tsp_instance": {"num_nodes": 1001, "edges": []}}', "1001 nodes"),
    (
        "/tsp_solver/v1/jobs",
        '{"tsp_instance": {"tsplib": "TYPE: TSP\\nDIMENSION: 1001"}}',
        "1001 nodes",
    ),
    (
        "/knapsack_solver/v1/jobs",
        f'{{"instance": {{"capacity": 1, "items": [{",".join([ITEM] * 1001)}]}}}}',
        "1001 items",
    ),
]


@pytest.fixture
async def nothing_stored(app: FastAPI) -> Any:
    """Fails the test when it left anything in the database."""
    yield
    async with app.state.services.database.read() as session:
        for table in (Job, Instance):
            assert await session.scalar(select(func.count()).select_from(table)) == 0


@pytest.mark.usefixtures("nothing_stored")
async def test_every_bad_body_is_refused_with_a_pointer(client: httpx.AsyncClient) -> None:
    for what, body, pointer in CASES:
        response = await client.post(JOBS, content=body, headers=JSON)

        assert response.status_code == 422, f"{what}: {response.status_code} {response.text}"
        assert response.headers["content-type"] == "application/problem+json", what
        problem = response.json()
        pointers = [error["pointer"] for error in problem["errors"]]
        assert pointer in pointers, f"{what}: {problem}"
        assert all(error["code"] and error["message"] for error in problem["errors"]), what


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(("path", "body", "has"), TOO_MUCH)
async def test_what_is_too_large_is_told_in_the_words_of_its_problem(
    client: httpx.AsyncClient, path: str, body: str, has: str
) -> None:
    response = await client.post(path, content=body, headers=JSON)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["message"] == f"has {has}; at most 1000 are accepted"


@pytest.mark.usefixtures("nothing_stored")
async def test_a_body_over_the_limit_is_refused_unread(client: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 2**20

    announced = await client.post(JOBS, content=b" " * (2**20 + 1), headers=JSON)
    streamed = await client.post(JOBS, content=endless(), headers=JSON)

    assert announced.status_code == streamed.status_code == 413
    assert announced.json()["limit_bytes"] == 2**20
    assert announced.json()["sent_bytes"] == 2**20 + 1
    assert str(2**20) in streamed.json()["detail"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-encoding": "gzip", **JSON},
    ],
)
async def test_other_media_types_and_compression_are_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.post(JOBS, content=b"{}", headers=headers)
    assert response.status_code == 415
    assert response.json()["type"].endswith("unsupported-media-type")


async def test_at_most_a_hundred_problems_are_listed(client: httpx.AsyncClient) -> None:
    edges = [{"source": 0, "target": 0, "cost": 1}] * 500
    body = {"tsp_instance": {"num_nodes": 2, "edges": edges}}

    problem = (await client.post(JOBS, json=body)).json()

    assert len(problem["errors"]) == 100
    assert problem["errors"][99]["pointer"].startswith("/tsp_instance/edges/99")


@pytest.mark.parametrize(
    "query",
    [
        "cursor=%00",
        "cursor=abc",
        "cursor=" + "A" * 500,
        "limit=0",
        "limit=201",
        "status=Lost",
        "submitted_after=9999-12-31T23:59:59-23:59",
        "submitted_before=0001-01-01T00:00:00%2B01:00",
    ],
)
async def test_bad_queries_are_refused(client: httpx.AsyncClient, query: str) -> None:
    response = await client.get(f"{JOBS}?{query}")
    assert response.status_code == 422
    assert response.json()["errors"]


@pytest.mark.parametrize("task_id", ["1", "%00", "not-a-uuid"])
async def test_a_malformed_id_is_a_clear_error(client: httpx.AsyncClient, task_id: str) -> None:
    response = await client.get(f"{JOBS}/{task_id}")
    assert response.status_code in {404, 422}
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_foreign_host_name_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz", headers={"host": "rebound.example"})
    assert response.status_code == 400


async def test_a_caller_who_leaves_while_sending_is_no_defect(app: FastAPI) -> None:
    sent: list[Any] = []

    async def leave() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": JOBS, "headers": headers}
    await app(scope | {"query_string": b"", "http_version": "1.1"}, leave, send)

    assert sent[0]["status"] == 400

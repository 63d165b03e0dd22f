"""A solver whose answer is no tour: the same calls, tables and workers, no line written for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.jobs import leases
from optimized_tsp.jobs.answers import Answer, finish
from optimized_tsp.jobs.models import Instance, Job
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.solvers.knapsack import KnapsackSolver
from tests.stack import RunningStack

JOBS = "/knapsack_solver/v1/jobs"
ITEMS = [{"value": v, "weight": w} for v, w in ((60, 10), (100, 20), (120, 30))]
KNAPSACK = {"instance": {"items": ITEMS, "capacity": 50}}
BEST = {"items": [1, 2], "value": 220, "weight": 50, "cost": 60}


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    assert settings.database_url is not None
    database = Database(settings.database_url.get_secret_value(), application_name="tests")
    yield database
    await database.close()


async def test_a_worker_solves_it_and_the_solution_shows_the_items(
    running_stack: RunningStack,
) -> None:
    async with httpx.AsyncClient(base_url=running_stack.base_url, timeout=60) as client:
        submitted = await client.post(JOBS, json=KNAPSACK, headers={"Prefer": "wait=50"})
        job = submitted.json()
        solution = (await client.get(f"{JOBS}/{job['task_id']}/solution")).json()
        instance = (await client.get(f"{JOBS}/{job['task_id']}/instance")).json()
        events = (await client.get(f"{JOBS}/{job['task_id']}/events")).json()

    assert (submitted.status_code, job["status"]) == (200, "Completed"), running_stack.logs()
    assert (job["solver"], job["version"], job["solution_status"]) == ("knapsack", "v1", "optimal")
    assert {name: solution[name] for name in BEST} == BEST
    assert (solution["final"], solution["lower_bound"], solution["gap"]) == (True, 60, 0.0)
    assert "node_order" not in solution
    assert solution["statistics"]["proven_by"] in {"relaxation", "cp_sat"}
    assert instance == KNAPSACK["instance"]
    assert events[0]["data"]["num_nodes"] == 3
    assert events[-1]["type"] == "job.completed"


async def test_every_example_is_solved(running_stack: RunningStack) -> None:
    async with httpx.AsyncClient(base_url=running_stack.base_url, timeout=60) as client:
        for example in KnapsackSolver().examples():
            job = await client.post(
                JOBS,
                json=example.submission | {"name": example.name},
                headers={"Prefer": "wait=50"},
            )
            assert job.json()["solution_status"] == "optimal", job.text


async def test_what_a_tour_has_and_this_has_not_is_null_in_sql(
    client: httpx.AsyncClient, db: Database
) -> None:
    task_id = (await client.post(JOBS, json=KNAPSACK)).json()["task_id"]
    claim = await leases.claim_next(db, worker="test", lease_s=15)
    assert claim is not None
    answer = Answer(SolutionStatus.OPTIMAL, StopReason.PROVEN, BEST, 60, None, None, 0.1)
    async with db.write() as session:
        await finish(session, claim, answer)

    async with db.read() as session:
        row = await session.execute(
            text(
                "SELECT node_order IS NULL AS no_tour, infeasibility IS NULL AS feasible,"
                " payload FROM solutions WHERE job_id = :id"
            ),
            {"id": task_id},
        )
    assert row.one() == (True, True, {"items": [1, 2], "value": 220, "weight": 50})


async def test_its_jobs_are_apart_from_other_solvers_jobs(client: httpx.AsyncClient) -> None:
    task_id = (await client.post(JOBS, json=KNAPSACK)).json()["task_id"]

    assert [job["task_id"] for job in (await client.get(JOBS)).json()] == [task_id]
    assert (await client.get("/tsp_solver/v1/jobs")).json() == []
    assert (await client.get(f"/tsp_solver/v1/jobs/{task_id}")).status_code == 404


def items(*first: Any) -> dict[str, Any]:
    return {"instance": {"items": [*first, *ITEMS], "capacity": 50}}


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/instance", "missing"),
        ({"tsp_instance": {"matrix": [[1]]}}, "/instance", "missing"),
        (items({"value": 1}), "/instance/items/0/weight", "missing"),
        (items({"value": "1", "weight": 1}), "/instance/items/0/value", "int_type"),
        (items({"value": 1, "weight": -1}), "/instance/items/0/weight", "greater_than_equal"),
        (items({"value": 2**53 - 1, "weight": 1}), "/instance/items", "inexact_sum"),
        ({"instance": {"items": ITEMS}}, "/instance/capacity", "missing"),
        ({"instance": {"items": ITEMS * 400, "capacity": 1}}, "/instance", "too_many_nodes"),
    ],
)
async def test_bad_input_is_named_and_nothing_is_stored(
    client: httpx.AsyncClient, app: FastAPI, body: Any, pointer: str, code: str
) -> None:
    response = await client.post(JOBS, json=body)

    assert response.status_code == 422
    errors = {(error["pointer"], error["code"]) for error in response.json()["errors"]}
    assert (pointer, code) in errors
    async with app.state.services.database.read() as session:
        for table in (Job, Instance):
            assert await session.scalar(select(func.count()).select_from(table)) == 0


async def test_its_own_schemas_are_in_the_openapi_document(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schemas, paths = document["components"]["schemas"], document["paths"]

    assert {path.removeprefix("/knapsack_solver/v1") for path in paths if "knapsack" in path} == {
        path.removeprefix("/tsp_solver/v1") for path in paths if "tsp_solver" in path
    }
    submission = schemas["KnapsackV1Submission"]["properties"]
    assert submission["instance"]["$ref"].endswith("/KnapsackInstance")
    solution = schemas["KnapsackV1Solution"]
    assert "value left behind" in solution["description"]
    assert {"items", "value", "weight", "cost", "lower_bound"} <= set(solution["properties"])
    assert {"minimum": 0, "type": "integer"} in solution["properties"]["value"]["anyOf"]

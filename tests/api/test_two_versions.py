"""Two versions of one solver, the second one from an installed package, live side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import TRIANGLE
from tests.stack import RunningStack, TestDatabase, stack_env

PLUGINS = Path(__file__).parents[1] / "plugins"
V1, V2 = "/tsp_solver/v1/jobs", "/tsp_solver/v2_experimental/jobs"
WISHES = {"wishes": [{"nodes": [0, 2]}]}
WAIT = {"Prefer": "wait=50"}
# Two classes of the same name.
TSP_EDGE = ("TspV1Submission", "tsp_instance", "edges")
WISH = ("TspV2ExperimentalSubmission", "optimization_parameters", "wishes")


@pytest.fixture
def stack(database: TestDatabase, redis_url: str, tmp_path: Path) -> Iterator[RunningStack]:
    env = stack_env(database, redis_url, data_dir=str(tmp_path / "data"))
    stack = RunningStack(tmp_path, env | {"PYTHONPATH": str(PLUGINS)})
    try:
        stack.start_worker()
        stack.start_api()
        yield stack
    finally:
        stack.stop()


async def test_each_version_has_its_own_jobs_parameters_and_schemas(stack: RunningStack) -> None:
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=60) as client:
        old = await client.post(V1, json=TRIANGLE, headers=WAIT)
        new = await client.post(
            V2, json=TRIANGLE | {"optimization_parameters": WISHES}, headers=WAIT
        )
        refused = await client.post(V1, json=TRIANGLE | {"optimization_parameters": WISHES})
        old_jobs, new_jobs = (await client.get(V1)).json(), (await client.get(V2)).json()
        crossed = await client.get(f"{V1}/{new.json()['task_id']}")
        tours = [
            (await client.get(f"{jobs}/{job.json()['task_id']}/solution")).json()["node_order"]
            for jobs, job in ((V1, old), (V2, new))
        ]
        solvers = (await client.get("/solvers")).json()
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]

    assert [job.json()["solution_status"] for job in (old, new)] == ["optimal"] * 2, stack.logs()
    assert [job.json()["version"] for job in (old, new)] == ["v1", "v2_experimental"]
    assert tours == [[0, 1, 2]] * 2
    assert [job["task_id"] for job in old_jobs] == [old.json()["task_id"]]
    assert [job["task_id"] for job in new_jobs] == [new.json()["task_id"]]
    assert crossed.status_code == 404
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/optimization_parameters/wishes"
    assert {"v1", "v2_experimental"} <= {s["version"] for s in solvers if s["name"] == "tsp"}
    edge, wish = (find(schemas, TSP_EDGE), find(schemas, WISH))
    assert (set(edge["properties"]), set(wish["properties"])) == (
        {"source", "target", "cost"},
        {"nodes"},
    )


def find(schemas: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The schema of a list's elements, reached from a submission through its fields."""
    name, *fields = path
    found: dict[str, Any] = schemas[name]
    for field in fields:
        found = found["properties"][field]
        found = next((form for form in found.get("anyOf", []) if "items" in form), found)
        found = schemas[found.get("items", found)["$ref"].rpartition("/")[2]]
    return found

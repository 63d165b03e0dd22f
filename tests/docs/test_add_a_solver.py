"""docs/add-a-solver.md is true: its code is the example's, its commands do what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from optimized_tsp.embedded.service import service_env
from tests.docs.conftest import LARGEST_FIRST, PAGE, REPOSITORY, blocks
from tests.stack import RunningStack

JOBS = "/coloring_solver/v1/jobs"


def test_every_piece_of_code_is_in_the_module() -> None:
    module = (LARGEST_FIRST / "largest_first.py").read_text()
    assert len(blocks("python")) == 7
    for block in blocks("python"):
        assert f"\n{block}" in module, block


def test_the_package_is_described_as_it_is() -> None:
    assert blocks("toml") == [(LARGEST_FIRST / "pyproject.toml").read_text()]


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (REPOSITORY / "docs" / target).exists(), target


def posted() -> dict[str, Any]:
    """The body of the page's curl command."""
    found = re.search(r"-d '(.*)'$", blocks("sh")[1], re.DOTALL)
    assert found is not None
    body: dict[str, Any] = json.loads(found[1])
    return body


async def test_the_service_solves_with_the_installed_package(
    stack_with_example: RunningStack,
) -> None:
    assert f"{JOBS} " in blocks("sh")[1]
    async with httpx.AsyncClient(base_url=stack_with_example.base_url, timeout=60) as client:
        job = await client.post(JOBS, json=posted(), headers={"Prefer": "wait=30"})
        solution = (await client.get(f"{job.headers['location']}/solution")).json()
        document = (await client.get("/openapi.json")).json()
        solvers = (await client.get("/solvers")).json()
        wrong = {"instance": {"num_nodes": 2, "edges": [[0, 1], [1, 1], [0, 2]]}}
        refused = await client.post(JOBS, json=wrong)

    assert job.json()["status"] == "Completed", stack_with_example.logs()
    expected = json.loads(blocks("json")[0])
    assert {name: solution[name] for name in expected} == expected
    assert len(solution["colors"]) == 6
    assert "coloring" in {solver["name"] for solver in solvers}
    pointers = [error["pointer"] for error in refused.json()["errors"]]
    assert (refused.status_code, pointers) == (422, ["/instance/edges/1", "/instance/edges/2"])
    assert_schemas_are_in(document)


def assert_schemas_are_in(document: dict[str, Any]) -> None:
    body = document["paths"][JOBS]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ColoringV1Submission"}
    schemas = document["components"]["schemas"]
    assert "edges" in schemas["ColoringInstance"]["properties"]
    assert "patience" in schemas["ColoringParameters"]["properties"]
    assert "colors" in schemas["ColoringV1Solution"]["properties"]


def test_the_command_line_solves_with_it(installed: Path, tmp_path: Path) -> None:
    problem = tmp_path / "wheel.json"
    problem.write_text(json.dumps(posted()))
    command = [sys.executable, "-m", "optimized_tsp.cli.main", "solve", "--json"]

    done = subprocess.run(
        [*command, "--solver", "coloring/v1", str(problem)],
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cost"] == 4


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_package_that_cannot_be_served_keeps_the_service_from_starting(
    command: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    points = "[optimized_tsp.solvers]\nbroken = not_there:Solver\n"
    (folder / "entry_points.txt").write_text(points)
    env = service_env({"database_url": database_url, "redis_url": redis_url})

    done = subprocess.run(
        [sys.executable, "-m", "optimized_tsp.cli.main", command],
        env=env | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stderr == (
        "optimized-tsp: The solver not_there:Solver of broken cannot be served: it cannot be loaded"
        " (ModuleNotFoundError: No module named 'not_there').\n"
    )

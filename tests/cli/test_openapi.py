"""The schema without a server, and the example that `up --demo` solves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from tests.cli.conftest import Cli, Service


def test_the_schema_is_the_one_that_is_served(cli: Cli, service: Service) -> None:
    env = cli.env | {"PYTHONPATH": service.stack.env["PYTHONPATH"], "OPTIMIZED_TSP_URL": ""}

    ended = Cli(cli.folder, env).run("openapi")

    assert ended.code == 0
    assert ended.json == httpx.get(f"{service.stack.base_url}/openapi.json").json()


def test_the_schema_needs_nothing(tmp_path: Path) -> None:
    ended = Cli(tmp_path, {"OPTIMIZED_TSP_DATA_DIR": str(tmp_path)}).run("openapi", "--json")

    assert ended.code == 0
    assert "/tsp_solver/v1/jobs" in ended.json["paths"]


def test_the_example_is_solved_through_the_service(service: Service) -> None:
    url = service.stack.base_url
    command = [sys.executable, "-P", "-m", "optimized_tsp.cli.demo", url]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)

    assert done.returncode == 0, done.stderr
    assert "the tour costs" in done.stdout
    assert f"{url}/tsp_solver/v1/jobs/" in done.stdout
    assert "started" in done.stderr

"""docs/rest-api.md names every call there is and no other, and its examples run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import orjson
from pydantic import SecretStr

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import ServiceError
from optimized_tsp.live.endpoints import LIVE_PATHS
from tests.stack import RunningStack

PAGE = (Path(__file__).parents[2] / "docs" / "rest-api.md").read_text(encoding="utf-8")
WRITTEN_URL = "http://127.0.0.1:8000"
CALL = r"`((?:GET|POST|PUT|PATCH|DELETE|WS) /[^ `?]*)`"
OF_THE_FRAMEWORK = {"GET /docs", "GET /openapi.json"}


def below_a_solver(path: str) -> str:
    """The path as the page has it: calls are the same for every solver and version."""
    return re.sub(r"^/[^/]+_solver/[^/]+", "", path)


def calls() -> set[str]:
    """Every call of the application, with its websockets."""
    nowhere = "127.0.0.1:1"  # it is not started
    settings = Settings(
        database_url=SecretStr(f"postgresql://app@{nowhere}/none"),
        redis_url=SecretStr(f"redis://{nowhere}/0"),
    )
    by_rest = {
        f"{method.upper()} {below_a_solver(path)}"
        for path, operations in create_app(settings).openapi()["paths"].items()
        for method in operations
    }
    sockets = {f"WS {below_a_solver(path)}" for path in LIVE_PATHS}
    return by_rest | sockets | OF_THE_FRAMEWORK


def test_every_call_is_in_a_table_and_no_other() -> None:
    rows = [row for row in PAGE.splitlines() if re.match(rf"\| {CALL}", row)]
    written = {call for row in rows for call in re.findall(CALL, row.split("|")[1])}
    assert written == calls()


def test_every_status_a_refusal_can_have_is_explained() -> None:
    explained = {int(code) for code in re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE)}
    raised = {kind.status for kind in ServiceError.__subclasses__()}
    # 400: a foreign host name. 403: a page of another site on the feed. 500: a defect of ours.
    assert explained == (raised | {405}) - {400, 403, 500}


async def test_the_error_shown_is_what_the_service_says(running_stack: RunningStack) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    loop = {"num_nodes": 2, "edges": [{"source": 1, "target": 1, "cost": 1}]}
    async with httpx.AsyncClient(base_url=running_stack.base_url) as client:
        answer = await client.post("/tsp_solver/v1/jobs", json={"tsp_instance": loop})
    assert answer.json() == orjson.loads(example)


async def test_events_and_logs_look_as_they_are_shown(running_stack: RunningStack) -> None:
    (log,) = re.findall(r"```json log\n(.*?)```", PAGE, re.DOTALL)
    ((names, event),) = re.findall(r"```\n((?:id|event).*?)data: (.*?)\n```", PAGE, re.DOTALL)
    async with httpx.AsyncClient(base_url=running_stack.base_url) as client:
        job = await client.post(
            "/tsp_solver/v1/jobs",
            json={"tsp_instance": {"matrix": [[None, 1, 9], [9, None, 2], [3, 9, None]]}},
            headers={"Prefer": "wait=30"},
        )
        url = f"/tsp_solver/v1/jobs/{job.json()['task_id']}"
        said = (await client.get(f"{url}/log")).json()
        stream = await client.get(f"{url}/events", headers={"Accept": "text/event-stream"})
    shown = orjson.loads(log)
    assert said.keys() == shown.keys()
    assert said["lines"][0].keys() == shown["lines"][0].keys()
    first = stream.text.split("\n\n")[0].splitlines()
    assert [line.split(": ")[0] for line in [*names.splitlines(), "data: "]] == [
        line.split(": ")[0] for line in first
    ]
    assert orjson.loads(first[-1].removeprefix("data: ")).keys() == orjson.loads(event).keys()


def test_the_example_runs_from_a_problem_to_a_tour(
    running_stack: RunningStack, tmp_path: Path
) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    commands = commands.replace(WRITTEN_URL, running_stack.base_url)

    done = subprocess.run(
        ["/bin/bash", "-eu", "-o", "pipefail", "-c", commands],
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    tour = orjson.loads((tmp_path / "tour.geojson").read_bytes())
    assert tour["features"][0]["geometry"]["type"] == "LineString"
    assert "event: job.completed" in done.stdout
    assert '"name":"capitals"' in done.stdout.splitlines()[-1]

"""The README's examples do what they say, against a running service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from standardwebhooks import Webhook

from optimized_tsp.embedded.identity import free_port, is_free
from optimized_tsp.embedded.process import wait_until
from tests.conftest import StartStack
from tests.stack import RunningStack, TestDatabase

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN_URL = "http://127.0.0.1:8000"
OTHER = "whsec_" + "c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgcmVhbGx5"


def examples(language: str) -> list[str]:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return found


def run(command: list[str], stdin: str) -> str:
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_two_commands_stand_at_the_top_and_exist() -> None:
    first = examples("sh")[0]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make run", "make test"]
    for target in ("run", "test"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_curl_example_solves_a_problem(running_stack: RunningStack) -> None:
    (command,) = [example for example in examples("sh") if example.startswith("curl")]

    answer = run(["sh"], command.replace(WRITTEN_URL, running_stack.base_url))

    job = httpx.Response(200, text=answer).json()
    assert (job["status"], job["solution_status"], job["cost"]) == ("Completed", "optimal", 14)


def test_the_python_example_finds_an_open_path(running_stack: RunningStack) -> None:
    (program,) = [example for example in examples("python") if '"round_trip": False' in example]

    printed = run([sys.executable, "-"], program.replace(WRITTEN_URL, running_stack.base_url))

    assert printed in {
        "Paris - Bonn - Rome 1464371 metres\n",
        "Rome - Bonn - Paris 1464371 metres\n",
    }


async def test_the_websocket_example_watches_its_job_and_the_sql_finds_it(
    running_stack: RunningStack, database: TestDatabase
) -> None:
    (program,) = [example for example in examples("python") if "submitJob" in example]
    (query,) = examples("sql")
    url = running_stack.base_url.replace("http:", "ws:")

    printed = run([sys.executable, "-"], program.replace("ws://127.0.0.1:8000", url))

    assert printed.splitlines()[0] == "job.submitted None"
    assert "job.completed 14" in printed
    assert printed.splitlines()[-1] == "[0, 1, 2, 3] optimal"
    engine = create_async_engine(database.reporting_url)
    async with engine.connect() as connection:
        row = (await connection.execute(text(query.strip().rstrip(";")))).one()
    await engine.dispose()
    assert (row.status, row.cost, row.gap) == ("Completed", 14, 0.0)


def test_the_receiver_of_webhooks_handles_what_is_signed_and_fresh_once(
    start_stack: StartStack,
) -> None:
    (program,) = [example for example in examples("python") if "standardwebhooks" in example]
    (setup,) = [example for example in examples("sh") if "WEBHOOK" in example]
    start, tell_secret = setup.strip().splitlines()
    settings = dict(re.findall(r"OPTIMIZED_TSP_(\w+)=(\S+)", start))
    stack = start_stack(**{name.lower(): value for name, value in settings.items()})
    asked = tell_secret.replace(WRITTEN_URL, stack.base_url) + '; printf %s "$WEBHOOK_SECRET"'
    secret, port = run(["sh"], asked), free_port()
    url = f"http://127.0.0.1:{port}/"
    with subprocess.Popen(
        [sys.executable, "-c", program.replace("9000", str(port))],
        env=os.environ | {"WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        text=True,
    ) as receiver:
        try:
            assert wait_until(lambda: not is_free("127.0.0.1", port), timeout_s=30)
            body = {"tsp_instance": {"matrix": [[None, 1], [2, None]]}, "webhook_url": url}
            job = httpx.post(f"{stack.base_url}/tsp_solver/v1/jobs", json=body).json()
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == f"job.completed {job['task_id']} 3\n"

            # What others send is refused, and so is ours when it is old; a repeat is not handled
            for age_s, key, status in ((0, secret, 204), (0, OTHER, 401), (600, secret, 401)):
                at = datetime.now(UTC) - timedelta(seconds=age_s)
                forged = b'{"type": "forged", "data": {"task_id": 1, "data": {"cost": 0}}}'
                headers = {
                    "webhook-id": "msg_1",
                    "webhook-timestamp": str(int(at.timestamp())),
                    "webhook-signature": Webhook(key).sign("msg_1", at, forged.decode()),
                }
                assert httpx.post(url, content=forged, headers=headers).status_code == status
            assert receiver.stdout.readline() == "forged 1 0\n"
            # A test, which tells of no job, is handled like any other event
            httpx.post(f"{stack.base_url}/webhooks/{job['webhook_id']}/test").raise_for_status()
            assert receiver.stdout.readline() == "webhook.test None None\n"
            deliveries = f"{stack.base_url}/webhooks/{job['webhook_id']}/deliveries"
            *_, delivery = httpx.get(deliveries).json()
            httpx.post(f"{deliveries}/{delivery['id']}/redeliver").raise_for_status()
            assert wait_until(
                lambda: httpx.get(deliveries).json()[-1]["status"] == "delivered", timeout_s=30
            )
        finally:
            receiver.kill()
        assert receiver.stdout.read() == ""


def test_the_commands_solve_a_file_by_the_service_and_without(
    running_stack: RunningStack, tmp_path: Path
) -> None:
    (commands,) = [example for example in examples("sh") if example.startswith("printf")]
    program = f"{sys.executable} -m optimized_tsp.cli.main"

    done = subprocess.run(
        ["/bin/sh", "-eu"],
        input=commands.replace(".venv/bin/optimized-tsp", program),
        cwd=tmp_path,
        env=os.environ | {"OPTIMIZED_TSP_URL": running_stack.base_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    watched, solved = done.stdout.splitlines()[:-1], orjson.loads(done.stdout.splitlines()[-1])
    assert "status       Completed (optimal, proven)" in watched
    assert (solved["cost"], solved["solution_status"]) == (2570452, "optimal")


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()

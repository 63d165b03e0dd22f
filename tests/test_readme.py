"""The README's examples do what they say, against a running service."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.stack import RunningStack, TestDatabase

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN_URL = "http://127.0.0.1:8000"


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


async def test_the_python_example_watches_a_job_and_the_sql_finds_it(
    running_stack: RunningStack, database: TestDatabase
) -> None:
    (program,) = examples("python")
    (query,) = examples("sql")

    printed = run([sys.executable, "-"], program.replace(WRITTEN_URL, running_stack.base_url))

    assert printed.splitlines()[0] == "job.submitted None"
    assert "job.completed 14" in printed
    assert printed.splitlines()[-1] == "[0, 1, 2, 3] 14 optimal"
    engine = create_async_engine(database.reporting_url)
    async with engine.connect() as connection:
        row = (await connection.execute(text(query.strip().rstrip(";")))).one()
    await engine.dispose()
    assert (row.status, row.cost, row.gap) == ("Completed", 14, 0.0)


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()

"""The page about the command line says what is, and its example runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from optimized_tsp.cli.exit_codes import ExitCode
from optimized_tsp.cli.main import app
from optimized_tsp.cli.settings import ClientSettings
from tests.cli.conftest import DEADLINE_S, Cli, Service

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = sorted(typer.main.get_group(app).commands)


def test_every_command_is_in_the_table_and_no_other() -> None:
    assert sorted(re.findall(r"^\| `(\w+)[^`]*` \| ", PAGE, re.MULTILINE)) == sorted(
        [*COMMANDS, *(f"OPTIMIZED_TSP_{name}".upper() for name in ClientSettings.model_fields)]
    )


def test_every_exit_code_is_explained() -> None:
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(int(code)) for code in ExitCode]


def test_settings_are_explained_in_the_words_of_the_code() -> None:
    for name, field in ClientSettings.model_fields.items():
        assert field.description is not None
        assert f"| `OPTIMIZED_TSP_{name.upper()}` | {field.description}" in PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    ended = cli.run(command, "--help")

    assert ended.code == 0
    assert "Usage:" in ended.out


def test_the_example_runs_as_it_is_written(service: Service, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    cli = service.cli.having(reporting_url=service.database.reporting_url)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", script],
        env=os.environ | cli.env | {"PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )

    assert done.returncode == 0, done.stderr
    assert "proven" in done.stdout
    assert "TOUR_SECTION" in (tmp_path / "cities.tour").read_text()
    assert (tmp_path / "jobs.csv").read_text().count("capitals") == 1

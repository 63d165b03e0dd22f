"""Results in every format, on stdout and in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

SQUARE_CSV = "name,lon,lat\nBonn,7.1,50.7\nParis,2.35,48.86\nRome,12.5,41.9\n"


@pytest.fixture(scope="module")
def solved() -> dict[str, str]:
    """Filled by the first test that needs it."""
    return {}


@pytest.fixture
def job(cli: Cli, solved: dict[str, str]) -> str:
    """A solved job with coordinates."""
    if not solved:
        ended = cli.run("submit", cli.file("cities.csv", SQUARE_CSV), "--wait", "30", "--json")
        assert ended.code == 0, ended.err
        solved["job"] = ended.json["task_id"]
    return solved["job"]


def test_json_is_the_default_and_final(cli: Cli, job: str) -> None:
    ended = cli.run("result", job)

    assert ended.code == 0
    assert ended.err == ""
    assert ended.json["final"] is True
    assert sorted(ended.json["node_order"]) == [0, 1, 2]
    assert cli.run("result", job, "--json").out == ended.out


def test_a_tour_is_written_as_tsplib_has_it(cli: Cli, job: str, tmp_path: Path) -> None:
    file = tmp_path / "cities.tour"

    ended = cli.run("result", job, "--format", "tour", "-o", str(file))

    assert (ended.code, ended.out, ended.err) == (0, "", f"optimized-tsp: written to {file}\n")
    assert "TOUR_SECTION\n1\n" in file.read_text()


def test_a_table_and_a_map_can_be_had(cli: Cli, job: str) -> None:
    table = cli.run("result", job, "--format", "csv")
    drawn = cli.run("result", job, "--format", "geojson")

    assert len(table.out.splitlines()) == 4
    assert table.out.startswith("position,node,")
    assert json.loads(drawn.out)["type"] == "FeatureCollection"


def test_a_format_the_solver_does_not_write_is_refused(cli: Cli) -> None:
    job = cli.submit(cli.odd("prove"))
    assert cli.run("watch", job).code == 0

    ended = cli.run("result", job, "--format", "tour")

    assert ended.code == 4
    assert "refused (406)" in ended.err


def test_a_file_that_cannot_be_written_is_an_error(cli: Cli, job: str, tmp_path: Path) -> None:
    ended = cli.run("result", job, "-o", str(tmp_path / "no" / "where.json"))

    assert ended.code == 1
    assert "cannot write" in ended.err


def test_the_best_so_far_of_a_running_job_is_marked(cli: Cli, gate: Path) -> None:
    job = cli.submit(cli.odd("prove", gate=gate))
    cli.until(job, lambda status: status["cost"] == 5)

    ended = cli.run("result", job)

    assert ended.code == 0
    assert ended.json["final"] is False
    assert "the job goes on: this is its best solution so far" in ended.err
    gate.touch()


@pytest.mark.parametrize("form", ["json", "tour"])
def test_an_infeasible_problem_has_none_and_says_why(cli: Cli, form: str) -> None:
    file = cli.file("no_way.json", {"num_nodes": 3, "edges": []})
    job = cli.run("submit", file, "--wait", "30", "--json").json["task_id"]

    ended = cli.run("result", job, "--format", form)

    assert ended.code == 3
    assert "No edge leads out of" in ended.out + ended.err
    assert (ended.out == "") == (form != "json")

"""Reports on past jobs, from the database."""

from __future__ import annotations

import csv
import io

import pytest
from rich.cells import cell_len

from tests.cli.conftest import TRIANGLE, Cli, Service

NAMES = ["Größe", "東京", 'comma, "quote"']


@pytest.fixture(scope="module")
def filled() -> list[str]:
    """The jobs' ids, once they are submitted."""
    return []


@pytest.fixture
def cli(service: Service, filled: list[str]) -> Cli:
    """The command, with the address of a database with jobs."""
    cli = service.cli.having(reporting_url=service.database.reporting_url)
    file = cli.file("t.json", TRIANGLE)
    for name in NAMES[len(filled) :]:
        ended = cli.run("submit", file, "--name", name, "--tag", "a=b", "--wait", "30", "--json")
        filled.append(ended.json["task_id"])
    return cli


def test_json_is_one_array_of_objects(cli: Cli, filled: list[str]) -> None:
    ended = cli.run("report", "jobs", "--json")

    assert ended.code == 0
    assert {row["task_id"]: row["name"] for row in ended.json} == dict(
        zip(filled, NAMES, strict=True)
    )
    assert [row["cost"] for row in ended.json] == [6, 6, 6]
    assert ended.json[0]["tags"] == {"a": "b"}
    assert ended.json[0]["submitted_at"].endswith("Z")
    assert cli.run("report", "reporting.jobs", "--format", "json").out == ended.out


def test_the_curve_of_costs_and_bounds_is_a_report(cli: Cli, filled: list[str]) -> None:
    ended = cli.run("report", "incumbents", "--all", "--json")

    assert ended.code == 0
    assert {row["task_id"] for row in ended.json} == set(filled)
    assert {row["cost"] for row in ended.json if row["cost"] is not None} == {6}


def test_csv_can_be_read_back(cli: Cli) -> None:
    ended = cli.run("report", "jobs", "--format", "csv")

    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert sorted(row["name"] for row in rows) == sorted(NAMES)
    assert rows[0]["tags"] == '{"a":"b"}'
    assert rows[0]["error"] == ""


def test_a_limit_is_kept_and_told(cli: Cli) -> None:
    ended = cli.run("report", "jobs", "--limit", "2", "--json")
    exactly = cli.run("report", "jobs", "--limit", "3", "--json")
    everything = cli.run("report", "jobs", "--limit", "1", "--all", "--json")

    assert (len(ended.json), len(exactly.json), len(everything.json)) == (2, 3, 3)
    assert "there are more than 2 rows" in ended.err
    assert exactly.err == everything.err == ""


def test_piped_a_table_has_a_line_per_row(cli: Cli, filled: list[str]) -> None:
    heading, *rows = cli.run("report", "jobs").out.splitlines()

    assert heading.startswith("task_id")
    assert {row.split()[0] for row in rows} == set(filled)


@pytest.mark.parametrize("columns", [80, 120])
def test_where_a_table_is_too_wide_each_value_has_a_line(cli: Cli, columns: int) -> None:
    with cli.on_terminal(columns, ["report", "jobs"]) as terminal:
        assert terminal.ended() == 0

    lines = terminal.screen.lines
    assert [line for line in lines if line.startswith("---")] == [
        "--- row 1",
        "--- row 2",
        "--- row 3",
    ]
    assert max(map(cell_len, lines)) <= columns
    assert sorted(line.split(maxsplit=1)[1] for line in lines if line.startswith("name ")) == (
        sorted(NAMES)
    )


def test_an_unknown_report_is_answered_with_those_there_are(cli: Cli) -> None:
    ended = cli.run("report", "sales; DROP TABLE jobs")

    assert ended.code == 2
    assert "there is no report 'sales; DROP TABLE jobs'; there are: incumbents, jobs" in ended.err


def test_without_a_database_it_says_what_to_do(cli: Cli) -> None:
    ended = cli.having(reporting_url="").run("report", "jobs")

    assert ended.code == 5
    assert "start `optimized-tsp up`, or set OPTIMIZED_TSP_REPORTING_URL" in ended.err


@pytest.mark.parametrize(
    "url", ["postgresql://nobody:wrong@127.0.0.1:1/nothing", "not a url", "mysql://a/b"]
)
def test_a_database_that_does_not_answer_is_told_without_its_password(cli: Cli, url: str) -> None:
    ended = cli.having(reporting_url=url).run("report", "jobs")

    assert ended.code == 5
    assert ended.err.startswith("optimized-tsp: the database does not do it")
    assert "wrong" not in ended.err

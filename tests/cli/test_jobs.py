"""Finding jobs, looking at them, stopping them, taking their results; nothing is solved here."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from rich.cells import cell_len

from tests.cli.conftest import TRIANGLE, Cli, Service, running_service
from tests.stack import Servers

UNKNOWN = "01a20144-4dc3-72f3-940e-c603eed72385"
NAMES = {
    "plain": "a plain one",
    "wide": "東京から大阪へ 最短の経路をさがす 東京から大阪へ",
    "markup": "[red]not red[/red]",
    "terminal": "bell\a, clear\x1b[2J, next\nline, \u202eright to left",
    "long": "long " * 40,
}


@pytest.fixture(scope="module")
def service(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An API without workers, and a waiting job with each of the names."""
    folder, redis_url = tmp_path_factory.mktemp("jobs"), servers.identity.redis_url
    with (
        servers.database() as database,
        running_service(folder, database, redis_url, workers=0) as service,
    ):
        post_named(service, NAMES)
        yield service


def post_named(service: Service, names: dict[str, str]) -> None:
    """A waiting job with each of these names, by tag."""
    with httpx.Client(base_url=service.stack.base_url) as client:
        for tag, name in names.items():
            body = {"tsp_instance": TRIANGLE, "name": name, "tags": {"kind": tag}}
            client.post("/tsp_solver/v1/jobs", json=body).raise_for_status()


@pytest.fixture
def waiting(cli: Cli) -> str:
    """A job that waits."""
    return cli.submit(cli.file("t.json", TRIANGLE), solver="tsp/v1")


def test_piped_the_table_holds_everything_on_one_line_each(cli: Cli) -> None:
    ended = cli.run("jobs", "--tag", "kind=long")

    heading, row = ended.out.splitlines()
    assert heading.split() == ["JOB", "STATUS", "COST", "GAP", "AGE", "NAME"]
    assert row.endswith(NAMES["long"].strip())
    assert ended.err == ""


def test_names_cannot_disturb_the_table(cli: Cli) -> None:
    ended = cli.run("jobs")

    assert len(ended.out.splitlines()) == 1 + len(cli.run("jobs", "--json").json)
    assert r"bell\x07, clear\x1b[2J, next\nline, \u202eright to left" in ended.out
    assert "[red]not red[/red]" in ended.out


def test_a_locale_without_these_characters_gets_escapes(cli: Cli) -> None:
    ended = Cli(cli.folder, cli.env | {"PYTHONIOENCODING": "ascii"}).run("jobs")

    assert ended.code == 0
    assert r"\u6771\u4eac" in ended.out


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_ids_are_whole_and_names_are_cut(cli: Cli, columns: int) -> None:
    jobs = cli.run("jobs", "--json").json

    with cli.on_terminal(columns, ["jobs"]) as terminal:
        assert terminal.ended() == 0

    _, *rows = terminal.screen.lines
    assert [row.split()[0] for row in rows] == [job["task_id"] for job in jobs]
    assert max(map(cell_len, rows)) <= columns
    assert any(row.endswith("…") for row in rows)


def test_filters_narrow_the_list(cli: Cli, waiting: str) -> None:
    assert cli.run("cancel", waiting).out == "Cancelled\n"

    cancelled = cli.run("jobs", "--status", "cancelled", "--json").json
    tagged = cli.run("jobs", "--tag", "kind=wide", "--status", "Submitted", "--json").json
    named = cli.run("jobs", "--name", NAMES["markup"], "--json").json
    nothing = cli.run("jobs", "--name", "nobody")

    assert waiting in {job["task_id"] for job in cancelled}
    assert [job["name"] for job in tagged] == [NAMES["wide"]]
    assert [job["name"] for job in named] == [NAMES["markup"]]
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "optimized-tsp: no jobs match\n")
    assert cli.run("jobs", "--solver", "odd/v1").err.startswith("optimized-tsp: no jobs yet")


def test_a_list_that_is_cut_says_so_and_all_pages_are_read_on_request(
    cli: Cli, service: Service
) -> None:
    post_named(service, {f"k{number}": f"n{number}" for number in range(205)})

    short = cli.run("jobs", "--limit", "3", "--json")
    everything = cli.run("jobs", "--all", "--json")

    assert [job["name"] for job in short.json] == ["n204", "n203", "n202"]
    assert "these are the newest 3; see more with --limit N or --all" in short.err
    names = [job["name"] for job in everything.json]
    assert names[:205] == [f"n{number}" for number in reversed(range(205))]
    assert set(NAMES.values()) <= set(names)
    assert len({job["task_id"] for job in everything.json}) == len(names)


def test_a_waiting_job_is_shown_with_its_place(cli: Cli, waiting: str) -> None:
    shown = cli.run("show", waiting)

    facts = {line[:12].strip(): line[13:] for line in shown.out.splitlines()}
    assert facts["job"] == waiting
    assert facts["status"] == "Submitted"
    assert facts["solver"] == "tsp/v1"
    assert int(facts["in the queue"]) > len(NAMES)
    assert cli.run("show", waiting, "--json").json["task_id"] == waiting


@pytest.mark.parametrize("form", ["json", "tour"])
def test_a_job_nobody_has_solved_has_no_result(cli: Cli, waiting: str, form: str) -> None:
    ended = cli.run("result", waiting, "--format", form)

    assert ended.code == 3
    assert "There is no solution yet" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("command", ["show", "watch", "cancel", "result"])
def test_an_unknown_job_is_refused_with_advice(cli: Cli, command: str) -> None:
    ended = cli.run(command, UNKNOWN)

    assert ended.code == 4
    assert f"there is no job {UNKNOWN} here" in ended.err
    assert "`optimized-tsp jobs` lists the jobs there are." in ended.err


@pytest.mark.parametrize("command", ["show", "watch", "cancel", "result"])
def test_what_is_no_id_is_a_usage_error(cli: Cli, command: str) -> None:
    assert cli.run(command, "seven").code == 2


def test_cancel_says_what_became_of_it_and_may_be_repeated(cli: Cli, waiting: str) -> None:
    first, second = cli.run("cancel", waiting), cli.run("cancel", waiting, "--json")

    assert (first.code, first.out) == (0, "Cancelled\n")
    assert (second.code, second.json["status"]) == (0, "Cancelled")
    assert cli.run("watch", waiting).code == 7


def test_json_and_another_format_exclude_each_other(cli: Cli, waiting: str) -> None:
    ended = cli.run("result", waiting, "--json", "--format", "tour")

    assert ended.code == 2
    assert "--json and --format tour exclude each other" in ended.err


def test_a_reader_that_leaves_is_no_drama(cli: Cli) -> None:
    with cli.started("jobs", "--all", "--json") as running:
        running.out.close()
        assert running.code() == 1
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""

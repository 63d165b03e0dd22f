"""What a solver said, read to its end and read on."""

from __future__ import annotations

import pytest

from optimized_tsp.cli.client import _LINES_PER_PAGE
from tests.cli.conftest import Cli


@pytest.fixture
def talkative(cli: Cli) -> str:
    """A job that says a few things."""
    job = cli.submit(cli.odd("talk"))
    cli.run("watch", job)
    return job


def test_lines_have_their_time_and_cannot_disturb_the_terminal(cli: Cli, talkative: str) -> None:
    ended = cli.run("log", talkative)

    assert (ended.code, ended.err) == (0, "")
    said = [line[12:] for line in ended.out.splitlines()]
    assert "looking at 3 numbers" in said
    assert "done" in said
    assert not any("not for the log" in line for line in said)
    [odd] = [line for line in said if line.startswith("warning: odd")]
    assert odd.isprintable()
    times = [float(line[:10]) for line in ended.out.splitlines() if line[:10].strip()]
    assert times == sorted(times)


def test_as_json_it_is_one_document_and_can_be_read_on(cli: Cli, talkative: str) -> None:
    whole = cli.run("log", talkative, "--json").json
    rest = cli.run("log", talkative, "--json", "--after", "2").json

    assert whole["complete"] is True
    assert whole["truncated"] is False
    assert [line["line"] for line in whole["lines"]] == list(range(1, len(whole["lines"]) + 1))
    assert rest == {**whole, "lines": whole["lines"][2:]}


def test_all_pages_of_a_long_log_are_read(cli: Cli) -> None:
    job = cli.submit(cli.odd("talk_without_end"))
    cli.run("watch", job)

    log = cli.run("log", job, "--json").json

    assert log["truncated"] is True
    assert log["complete"] is True
    assert len(log["lines"]) > _LINES_PER_PAGE
    assert [line["line"] for line in log["lines"]] == list(range(1, len(log["lines"]) + 1))


def test_of_a_job_that_goes_on_it_says_how_to_read_on(cli: Cli) -> None:
    job = cli.submit(cli.odd("polite", timeout=60))

    ended = cli.run("log", job, "--after", "7")

    assert ended.code == 0
    assert f"the job goes on; read on with `optimized-tsp log {job} --after 7`" in ended.err
    cli.run("cancel", job)


def test_an_unknown_job_is_said_to_be_so(cli: Cli) -> None:
    ended = cli.run("log", "01a20144-4dc3-72f3-940e-c603eed72385")

    assert ended.code == 4
    assert "there is no job" in ended.err

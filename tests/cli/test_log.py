"""What a solver said, read to its end and read on."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from optimized_tsp.cli.client import _LINES_PER_PAGE
from tests.cli.conftest import Cli, Running, Service


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


def read_until(running: Running, words: str) -> list[str]:
    """Lines of its stdout, up to one with these words."""
    lines = []
    for line in running.out:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"it ended without printing {words!r}")


def test_a_log_is_followed_to_the_end_of_its_job(cli: Cli, gate: Path) -> None:
    job = cli.submit(cli.odd("talk", gate=gate))

    with cli.started("log", job, "--follow") as running:
        lines = read_until(running, "looking at 3 numbers")
        gate.touch()
        lines += running.out
        assert running.code() == 0

    assert "done" in "".join(lines)
    assert "".join(lines) == cli.run("log", job).out


def test_what_is_followed_is_a_line_of_json_each(cli: Cli, gate: Path) -> None:
    job = cli.submit(cli.odd("talk", gate=gate))
    with cli.started("log", job, "--follow", "--json", "--after", "1") as running:
        lines = read_until(running, "looking at 3 numbers")
        gate.touch()
        lines += running.out
        assert running.code() == 0

    whole = cli.run("log", job, "--json").json["lines"]
    assert [json.loads(line) for line in lines] == whole[1:]


def test_to_follow_ends_as_to_watch_does(cli: Cli) -> None:
    running, failed = cli.submit(cli.odd("polite")), cli.submit(cli.odd("segfault"))
    cli.until(failed, lambda status: status["status"] == "Failed")

    # Given that the job has ended, or goes on
    assert cli.run("log", failed, "-f").code == 6
    waited = cli.run("log", running, "--follow", "--wait", "0")
    assert waited.code == 8
    assert f"optimized-tsp log {running} --follow --after " in waited.err
    # or is cancelled meanwhile
    with cli.started("log", running, "--follow", "--wait", "60") as following:
        read_until(following, "Attempt 1")
        cli.run("cancel", running)
        assert following.code() == 7

    assert cli.run("log", running, "--wait", "1").code == 2
    assert cli.run("log", "01a20144-4dc3-72f3-940e-c603eed72385", "--follow").code == 4


def test_ctrl_c_says_how_to_follow_on_from_the_last_line(cli: Cli) -> None:
    job = cli.submit(cli.odd("polite"))

    with cli.started("log", job, "--follow", "--json") as running:
        lines = read_until(running, "Attempt 1")
        running.process.send_signal(signal.SIGINT)
        said = running.said("detached")
        lines += running.out
        assert running.code() == 130

    last = json.loads(lines[-1])["line"]
    assert f"optimized-tsp log {job} --follow --after {last}" in said
    cli.run("cancel", job)


def test_a_lost_connection_loses_no_line_and_doubles_none(own_service: Service, gate: Path) -> None:
    cli, stack = own_service.cli, own_service.stack
    job = cli.submit(cli.odd("talk", gate=gate))
    with cli.started("log", job, "--follow") as running:
        lines = read_until(running, "looking at 3 numbers")
        stack.api.kill()
        running.said("the connection is lost")
        gate.touch()
        stack.start_api()
        lines += running.out
        assert running.code() == 0

    assert "".join(lines) == cli.run("log", job).out

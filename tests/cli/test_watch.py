"""Watching: what is on the terminal, what is in a log, and what a broken connection changes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Service
from tests.cli.terminal import Screen

LONG_NAME = "Bürogebäude in 東京 und " + "weit darüber hinaus " * 8


def seqs(lines: str) -> list[int]:
    return [json.loads(line)["seq"] for line in lines.splitlines()]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_two_rows_that_give_way_to_the_result(
    cli: Cli, gate: Path, columns: int
) -> None:
    job = cli.submit(cli.odd("prove", gate=gate), "--name", LONG_NAME)

    with cli.on_terminal(columns, ["watch", job]) as terminal:
        screen = terminal.until(lambda screen: "cost 5  bound 3" in "".join(screen.lines))
        text, bar = screen.lines  # no third line: nothing is wrapped
        assert text.startswith("Bürogebäude in 東京")
        assert "…  cost 5  bound 3  gap 40.00%" in text
        assert text.endswith(" s")
        assert set(bar) <= set("━╸╺")
        assert not screen.cursor_visible
        gate.touch()
        assert terminal.ended() == 0

    assert screen.lines[0] == f"job          {job}"
    assert screen.lines[1] == "status       Completed (optimal, proven)"
    assert not any("━" in line for line in screen.lines)
    assert screen.cursor_visible


def test_ctrl_c_only_detaches_and_says_how_to_come_back(cli: Cli) -> None:
    job = cli.submit(cli.odd("polite"))

    with cli.on_terminal(80, ["watch", job]) as terminal:
        screen = terminal.until(lambda screen: "cost 7" in "".join(screen.lines))
        terminal.type("\x03")
        assert terminal.ended() == 130

    said = "".join(screen.lines)
    assert f"detached, the job goes on. Watch it again with: optimized-tsp watch {job}" in said
    assert screen.cursor_visible
    assert cli.run("show", job, "--json").json["status"] == "Running"
    assert cli.run("cancel", job).code == 0
    assert cli.run("watch", job).code == 7


def test_a_command_that_was_told_where_the_service_is_says_so_when_it_detaches(
    cli: Cli, service: Service
) -> None:
    job = cli.submit(cli.odd("polite"))
    process = cli.having(url="").start("watch", job, "--url", service.stack.base_url)
    cli.until(job, lambda status: status["cost"] == 7)
    assert process.stderr is not None
    while "cost" not in process.stderr.readline():
        pass

    process.send_signal(signal.SIGINT)

    _, err = process.communicate()
    assert process.returncode == 130
    assert f"optimized-tsp watch {job} --url {service.stack.base_url}" in err
    cli.run("cancel", job)


def test_a_log_has_a_line_for_every_event(cli: Cli) -> None:
    job = cli.submit(cli.odd("prove"))

    ended = cli.run("watch", job)

    assert ended.code == 0
    lines = [line.split("s  ")[-1] for line in ended.err.splitlines()]
    assert lines[:2] == ["submitted", "started"]
    assert lines[-2:] == ["cost 5  bound 3  gap 40.00%", "completed"]
    assert ended.out.splitlines()[1:5] == [
        "status       Completed (optimal, proven)",
        "cost         5",
        "lower bound  5",
        "gap          0.0000%",
    ]


def test_programs_read_every_event_as_a_line_of_json(cli: Cli, service: Service) -> None:
    job = cli.submit(cli.odd("prove"))

    live = cli.run("watch", job, "--json")
    afterwards = cli.run("watch", job, "--json")

    assert live.code == 0
    assert live.err == ""
    assert [json.loads(line) for line in live.out.splitlines()] == service.events(job)
    assert afterwards.out == live.out


def test_json_leaves_a_terminal_on_stderr_alone(cli: Cli) -> None:
    job = cli.submit(cli.odd("prove"))

    with cli.on_terminal(80, ["watch", job, "--json"], pipe_stdout=True) as terminal:
        assert terminal.ended() == 0
        assert terminal.process.stdout is not None
        assert seqs(terminal.process.stdout.read().decode())[0] == 1

    assert terminal.screen.lines == []


@pytest.mark.parametrize(
    ("behaviour", "code", "status"),
    [
        ("prove", 0, "Completed (optimal, proven)"),
        ("infeasible", 3, "Completed (infeasible, proven)"),
        ("fail", 6, "Failed (feasible)"),
        ("find_nothing", 6, "Failed (unknown, time_limit)"),
    ],
)
def test_the_exit_code_says_how_the_job_ended(
    cli: Cli, behaviour: str, code: int, status: str
) -> None:
    job = cli.submit(cli.odd(behaviour, timeout=1))

    ended = cli.run("watch", job)

    assert ended.code == code
    assert f"status       {status}" in ended.out


def test_a_wait_that_is_over_leaves_the_job_alone(cli: Cli) -> None:
    job = cli.submit(cli.odd("polite"))

    ended = cli.run("watch", job, "--wait", "0.5")

    assert ended.code == 8
    assert f"the wait is over, the job goes on. Watch it again with: optimized-tsp watch {job}" in (
        ended.err
    )
    assert cli.run("cancel", job).code == 0


def test_a_job_that_waits_for_a_worker_is_shown_as_that(own_service: Service) -> None:
    for worker in own_service.stack.workers:
        worker.kill()
    cli = own_service.cli
    job = cli.submit(cli.odd("prove"))

    with cli.on_terminal(80, ["watch", job]) as terminal:
        terminal.until(lambda screen: "waiting for a worker" in "".join(screen.lines))
        own_service.stack.start_worker()
        assert terminal.ended() == 0


def test_after_a_kill_of_the_api_nothing_is_missed_and_nothing_seen_twice(
    own_service: Service,
) -> None:
    cli, stack = own_service.cli, own_service.stack
    job = cli.submit(cli.odd("descend"))
    process = cli.start("watch", job, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    seen = "".join(process.stdout.readline() for _ in range(5))

    stack.api.kill()
    assert "the connection is lost" in process.stderr.readline()
    stack.start_api()
    assert "connected again" in process.stderr.readline()
    cli.run("cancel", job)

    seen += process.stdout.read()
    assert process.wait() == 7
    everything = [event["seq"] for event in own_service.events(job)]
    assert seqs(seen) == everything == list(range(1, len(everything) + 1))


def test_a_lost_connection_is_said_above_the_two_rows(own_service: Service) -> None:
    cli, stack = own_service.cli, own_service.stack
    job = cli.submit(cli.odd("polite"))

    def says(words: str) -> Any:
        def shown(screen: Screen) -> bool:
            return len(screen.lines) > 2 and words in " ".join(screen.lines[:-2])

        return shown

    with cli.on_terminal(80, ["watch", job]) as terminal:
        terminal.until(lambda screen: "cost 7" in "".join(screen.lines))
        stack.api.kill()
        terminal.until(says("the connection is lost"))
        stack.start_api()
        terminal.until(says("connected again"))
        cli.run("cancel", job)
        assert terminal.ended() == 7

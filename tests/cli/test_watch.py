"""Watching: what is on the terminal, what is in a log, and what a broken connection changes."""

from __future__ import annotations

import json
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from optimized_tsp.cli import client
from optimized_tsp.cli.address import Address
from optimized_tsp.cli.follow import Follower
from optimized_tsp.core.database import Database
from optimized_tsp.events.log import prune_events, sequence
from optimized_tsp.events.models import Event
from tests.cli.conftest import DEADLINE_S, Cli, Service
from tests.cli.terminal import Screen

LONG_NAME = "Bürogebäude in 東京 und " + "weit darüber hinaus " * 8


def seqs(lines: str) -> list[int]:
    return [json.loads(line)["seq"] for line in lines.splitlines()]


async def forget_events(service: Service, *, after: int) -> None:
    """Remove what is stored of every job, once so many more events have happened."""
    database = Database(service.database.url, application_name="tests")
    deadline = time.monotonic() + DEADLINE_S
    first = newest = await newest_event(database)
    while newest < first + after:
        assert time.monotonic() < deadline
        newest = await newest_event(database)
    await sequence(database)
    async with database.write() as session:
        assert await prune_events(session, keep=timedelta(0)) > 0
    await database.close()


async def newest_event(database: Database) -> int:
    async with database.read() as session:
        return (await session.scalars(select(func.max(Event.seq)))).one()


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_two_rows_that_give_way_to_the_result(
    cli: Cli, gate: Path, columns: int
) -> None:
    job = cli.submit(cli.odd("prove", gate=gate), "--name", LONG_NAME)

    with cli.on_terminal(columns, ["watch", job]) as terminal:
        # Both rows: what is read may end in the middle of a redraw.
        screen = terminal.until(
            lambda screen: "cost 5  bound 3" in "".join(screen.lines) and len(screen.lines) > 1
        )
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
    url = service.stack.base_url
    job = cli.submit(cli.odd("polite"))

    with cli.having(url="").started("watch", job, "--url", url) as running:
        running.said("cost 7")
        running.process.send_signal(signal.SIGINT)
        assert f"optimized-tsp watch {job} --url {url}" in running.said("detached")
        assert running.code() == 130

    cli.run("cancel", job)


def test_a_log_has_a_line_for_every_event(cli: Cli, gate: Path) -> None:
    job = cli.submit(cli.odd("prove", gate=gate))
    cli.until(job, lambda status: status["cost"] == 5)
    gate.touch()

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
    with cli.started("watch", job, "--json") as running:
        seen = [running.out.readline() for _ in range(5)]

        stack.api.kill()
        running.said("the connection is lost")
        stack.start_api()
        running.said("connected again")
        cli.run("cancel", job)

        seen += running.out.readlines()
        assert running.code() == 7
    everything = [event["seq"] for event in own_service.events(job)]
    assert seqs("".join(seen)) == everything == list(range(1, len(everything) + 1))


async def test_events_that_are_not_kept_any_more_do_not_keep_it_from_ending(
    own_service: Service,
) -> None:
    cli, stack = own_service.cli, own_service.stack
    job = cli.submit(cli.odd("descend"))
    with cli.started("watch", job, "--json") as running:
        seen = [running.out.readline() for _ in range(3)]
        stack.api.kill()
        running.said("the connection is lost")
        await forget_events(own_service, after=3)
        stack.start_api()
        running.said("connected again")
        cli.run("cancel", job)
        seen += running.out.readlines()
        assert running.code() == 7
    numbers = seqs("".join(seen))
    assert numbers == sorted(set(numbers))
    assert len(numbers) < numbers[-1]

    await forget_events(own_service, after=0)

    assert cli.run("watch", job, "--json").code == 7


def test_a_service_that_does_not_come_back_is_given_up(own_service: Service) -> None:
    cli, stack = own_service.cli, own_service.stack
    job = cli.submit(cli.odd("polite"))
    cli.until(job, lambda status: status["cost"] == 7)
    said: list[str] = []
    with client.Service(Address(stack.base_url)) as service:
        status = service.find_job(UUID(job))
        events = iter(Follower(service, status, say=said.append, patience_s=0.5))
        while next(events)["type"] != "job.incumbent":
            pass

        stack.api.kill()
        with pytest.raises(client.Unreachable) as failure:
            next(events)

    assert failure.value.code == 5
    assert f"Watch again with: optimized-tsp watch {job}" in failure.value.message
    assert len(said) == 1


def test_a_job_that_is_started_again_is_watched_on(own_service: Service) -> None:
    cli, stack = own_service.cli, own_service.stack
    job = cli.submit(cli.odd("polite"))
    with cli.started("watch", job) as running:
        running.said("cost 7")
        stack.workers[0].kill()
        stack.start_worker()
        running.said("started, attempt 2")
        cli.run("cancel", job)
        assert running.code() == 7


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

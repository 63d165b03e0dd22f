"""One command, real servers: started, disturbed, stopped, started again."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import asyncpg
import psutil
import pytest

from optimized_tsp.embedded.identity import HOST
from optimized_tsp.embedded.process import wait_until
from tests.stack import Servers, public_folder
from tests.up import Up, all_gone

RECOVERY_TIMEOUT_S = 60.0
CHILDREN = ["cli.main serve", "cli.main worker", "valkey-server", "postgres -D"]


class MakeUp(Protocol):
    """Makes a stack that is not started yet."""

    def __call__(self, *arguments: str, before: Sequence[str] = (), **settings: str) -> Up: ...


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with public_folder() as folder:
        up = Up(folder / "data", tmp_path_factory.mktemp("up") / "output")
        try:
            yield up
        finally:
            up.end()


@pytest.fixture
def up(shared: Up) -> Up:
    """A running stack; started again where the test before has stopped it."""
    if not shared.is_running():
        shared.start()
    return shared


@pytest.fixture
def make_up(tmp_path: Path) -> Iterator[MakeUp]:
    """Makes stacks on data folders of their own, which end with the test."""
    made: list[Up] = []
    with public_folder() as folder:

        def make(*arguments: str, before: Sequence[str] = (), **settings: str) -> Up:
            name = f"stack-{len(made)}"
            output = tmp_path / f"{name}.output"
            made.append(Up(folder / name, output, *arguments, before=before, **settings))
            return made[-1]

        try:
            yield make
        finally:
            for up in made:
                up.end()


def test_it_serves_says_where_everything_is_and_stops_on_ctrl_c(up: Up) -> None:
    assert f"Serving on {up.url}, documentation at {up.url}/docs" in up.said
    everything = up.processes()

    assert up.stop(signal.SIGINT) == 130

    assert all_gone(everything)
    assert not (up.data_dir / "stack.json").exists()


def test_it_stops_on_sigterm_with_status_0(up: Up) -> None:
    assert up.stop(signal.SIGTERM) == 0


def test_a_second_one_on_the_same_folder_says_so_in_one_sentence(up: Up) -> None:
    second = up.run("up")
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"already runs on the data folder {up.data_dir} at {up.url}" in second.stderr


async def test_config_shows_the_addresses_of_what_runs(up: Up) -> None:
    shown = json.loads(up.run("config", "--json").stdout)
    assert shown["api_url"] == up.url
    for name, user in [("database_url", "optimized_tsp_app"), ("reporting_url", "_reporting")]:
        connection = await asyncpg.connect(shown[name])
        assert (await connection.fetchval("SELECT current_user")).endswith(user)
        await connection.close()

    for_people = up.run("config").stdout

    assert shown["database_url"] not in for_people
    assert "redis://:***@127.0.0.1:" in for_people
    up.stop()
    assert json.loads(up.run("config", "--json").stdout)["database_url"] is None


def test_whatever_is_killed_comes_back_and_the_rest_goes_on(up: Up) -> None:
    job = up.submit()
    for words in CHILDREN:
        killed = up.process(words)
        below = killed.children(recursive=True)
        others = {child.pid for child in psutil.Process(up.pid).children()} - {killed.pid}

        killed.kill()

        assert _comes_back(up, words, killed.pid), up.said
        assert all_gone(below)
        assert wait_until(up.is_ready, timeout_s=RECOVERY_TIMEOUT_S), up.said
        assert others <= {child.pid for child in psutil.Process(up.pid).children()}
    assert up.status(job)


def test_a_killed_supervisor_leaves_nothing_running_and_no_loss(up: Up) -> None:
    job = up.submit()
    everything = up.processes()

    up.kill()

    assert all_gone(everything)
    up.start()
    assert up.status(job)


def test_everything_killed_at_once_comes_back_with_all_data(up: Up) -> None:
    job = up.submit()
    everything = up.processes()

    for process in [psutil.Process(up.pid), *everything]:
        with suppress(psutil.NoSuchProcess):  # it went with one before it
            process.kill()

    assert all_gone(everything)
    up.kill()
    up.start()
    assert up.status(job)


def test_ctrl_c_during_the_first_start_leaves_nothing_running(make_up: MakeUp) -> None:
    up = make_up()
    up.launch()
    assert wait_until(lambda: bool(up.processes()), timeout_s=60)
    everything = up.processes()

    assert up.stop(signal.SIGINT) == 130

    assert all_gone(everything)
    up.start()  # on whatever was left half-made


def test_the_example_is_solved_through_the_api(make_up: MakeUp) -> None:
    up = make_up("--demo")
    up.start()
    lines = up.said.splitlines()
    assert any(" s  cost " in line for line in lines)
    summary = next(line for line in lines if ": the tour costs " in line)
    assert "proven optimal, lower bound " in summary
    assert "gap 0.00%" in summary
    assert lines[-1].startswith("Serving on")
    assert lines[-1].endswith(f"{up.url}/docs. Ctrl-C stops everything.")


def test_impatient_ctrl_c_kills(up: Up) -> None:
    everything = up.processes()
    up.process("cli.main serve").suspend()  # it cannot stop politely
    psutil.Process(up.pid).send_signal(signal.SIGINT)
    assert wait_until(lambda: "Stopping" in up.said, timeout_s=60)

    assert up.stop(signal.SIGINT) == 130

    assert all_gone(everything)


def test_it_stops_with_the_make_that_started_it(make_up: MakeUp) -> None:
    code = (
        "import os, subprocess, sys\n"
        "subprocess.run([*sys.argv[1:], '--parent', str(os.getpid())])\n"
    )
    up = make_up(before=[sys.executable, "-c", code])
    up.start()
    everything = up.processes()

    up.kill()  # stands for make

    assert all_gone(everything)
    assert "Stopping" in up.said


def test_it_runs_on_servers_of_your_own(servers: Servers, make_up: MakeUp) -> None:
    servers.run_sql("CREATE DATABASE yours OWNER optimized_tsp_owner")
    urls = {
        "OPTIMIZED_TSP_DATABASE_URL": servers.owner_url("yours"),
        "OPTIMIZED_TSP_REDIS_URL": servers.identity.redis_url,
    }
    up = make_up(**urls)
    up.start()
    assert up.status(up.submit())
    names = {child.name() for child in psutil.Process(up.pid).children()}
    assert names.isdisjoint({"postgres", "valkey-server"})
    shown = json.loads(up.run("config", "--json").stdout)
    assert shown["database_url"] == urls["OPTIMIZED_TSP_DATABASE_URL"]
    assert shown["reporting_url"] is None
    assert up.stop() == 0
    servers.run_sql("DROP DATABASE yours WITH (FORCE)")


def test_a_port_that_is_taken_is_named(make_up: MakeUp) -> None:
    up = make_up()
    with socket.socket() as squatter:
        squatter.bind((HOST, up.port))
        squatter.listen()
        ended = up.run("up")
    assert ended.returncode == 1
    assert f"port {up.port} on {HOST} is taken by another program" in ended.stderr
    assert "OPTIMIZED_TSP_PORT" in ended.stderr


def test_a_service_that_cannot_start_is_explained(make_up: MakeUp) -> None:
    ended = make_up(**_dead_servers()).run("up")
    assert ended.returncode == 1
    assert "the migration ended with exit status 1" in ended.stderr


def test_a_wrong_setting_is_named(make_up: MakeUp) -> None:
    ended = make_up(OPTIMIZED_TSP_LEASE_S="soon").run("up")
    assert ended.returncode == 2
    assert "OPTIMIZED_TSP_LEASE_S" in ended.stderr


def _comes_back(up: Up, words: str, killed: int) -> bool:
    def is_back() -> bool:
        found = [child.pid for child in up.children(words)]
        return bool(found) and killed not in found

    return wait_until(is_back, timeout_s=RECOVERY_TIMEOUT_S)


def _dead_servers() -> dict[str, str]:
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        port = reserved.getsockname()[1]
    return {
        "OPTIMIZED_TSP_DATABASE_URL": f"postgresql://nobody:secret@{HOST}:{port}/nothing",
        "OPTIMIZED_TSP_REDIS_URL": f"redis://{HOST}:{port}/0",
    }

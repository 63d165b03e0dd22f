"""No solver outlives the process it works for, and none dies of a signal meant for that one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
import pytest

from optimized_tsp.solvers.process import SolverProcess
from tests.solvers.process.conftest import PLUGINS, Attempt, gone, until

PARENT = """
import asyncio
from optimized_tsp.solvers.process import SolverProcess, SolveRequest

async def main():
    async with SolverProcess(preload=False) as runner:
        request = SolveRequest(
            "odd", "v1", b'{"size": 3}', 600, parameters={"behaviour": "BEHAVIOUR"}
        )
        report = lambda progress: print(progress.cost, flush=True)
        await runner.solve(request, stop=asyncio.Event(), on_progress=report)

asyncio.run(main())
"""

StartParent = Callable[[str], Awaitable[Process]]


@pytest.fixture
async def start_parent() -> AsyncIterator[StartParent]:
    """Starts a process with a solver that reported its first solution."""
    started: list[Process] = []

    async def start(behaviour: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PARENT.replace("BEHAVIOUR", behaviour),
            stdout=PIPE,
            env={**os.environ, "PYTHONPATH": str(PLUGINS)},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


def solver_processes() -> list[psutil.Process]:
    """Our fork servers and their children; the tests' own servers are children of ours as well."""
    servers = [
        process
        for process in psutil.Process().children()
        if any("solvers.process.forkserver" in word for word in process.cmdline())
    ]
    return servers + [child for server in servers for child in server.children(recursive=True)]


async def _first_cost(process: Process) -> int:
    assert process.stdout is not None
    return int(await asyncio.wait_for(process.stdout.readline(), 30))


@pytest.mark.parametrize("behaviour", ["ignore_stop", "hold_the_interpreter", "start_a_process"])
async def test_nothing_is_left_when_the_parent_is_killed(
    start_parent: StartParent, behaviour: str
) -> None:
    parent = await start_parent(behaviour)
    await _first_cost(parent)
    below = psutil.Process(parent.pid).children(recursive=True)
    assert len(below) >= 2  # the fork server, the child

    parent.kill()

    await until(lambda: all(map(gone, below)), within_s=3)


async def test_nothing_is_left_after_a_clean_end() -> None:
    async with SolverProcess(preload=False) as runner:
        await Attempt(runner).solve("prove")
        below = solver_processes()
        assert len(below) == 2

    await until(lambda: all(map(gone, below)), within_s=1)


async def test_nothing_is_left_when_closed_before_it_was_ready() -> None:
    async with SolverProcess():
        await until(solver_processes)  # the fork server is there, and is importing
        below = solver_processes()

    await until(lambda: all(map(gone, below)), within_s=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_to_every_process_leave_the_decision_to_the_parent(
    attempt: Attempt, number: signal.Signals
) -> None:
    running = asyncio.create_task(attempt.solve("polite"))
    await until(lambda: attempt.seen)

    for process in solver_processes():
        process.send_signal(number)
    attempt.stop.set()

    assert (await running).cost == 7

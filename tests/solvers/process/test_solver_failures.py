"""Whatever a solver does wrong becomes one of two exceptions, and never a result."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from optimized_tsp.solvers.process import SolverCrashed, SolverFault, SolverProcess
from tests.promises import promised
from tests.shortages import no_more_files
from tests.solvers.process.conftest import Attempt, gone, until


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("segfault", "the solver crashed: SIGSEGV (Segmentation fault)"),
        ("abort", "the solver crashed: SIGABRT (Aborted)"),
        ("exit_quietly", "the solver crashed: exit code 3"),
    ],
)
async def test_a_crash_is_told_with_its_reason_and_keeps_the_best_solution(
    attempt: Attempt, another: Callable[[], Attempt], behaviour: str, reason: str
) -> None:
    with pytest.raises(SolverCrashed) as caught:
        await attempt.solve(behaviour)

    assert caught.value.reason == reason
    assert caught.value.best is not None
    assert caught.value.best.solution == {"cost": 8, "numbers": [8, 0, 0]}
    assert (await another().solve("prove")).cost == 5


async def test_a_killed_child_is_a_crash(attempt: Attempt, another: Callable[[], Attempt]) -> None:
    pid = (await attempt.solve("prove")).statistics["pid"]
    killed = another()
    killed.on_progress = lambda _: psutil.Process(pid).kill()

    with pytest.raises(SolverCrashed, match=r"SIGKILL \(Killed, often for lack of memory\)"):
        await killed.solve("ignore_stop")


async def test_a_killed_fork_server_is_a_crash_and_takes_its_children_along(
    attempt: Attempt, another: Callable[[], Attempt]
) -> None:
    pid = (await attempt.solve("prove")).statistics["pid"]
    child = psutil.Process(pid)
    server = child.parent()
    assert server is not None
    killed = another()
    killed.on_progress = lambda _: server.kill()

    with promised(2), pytest.raises(SolverCrashed) as caught:
        await killed.solve("ignore_stop")

    assert caught.value.best is not None
    await until(lambda: gone(child), within_s=2)
    assert (await another().solve("prove")).cost == 5


async def test_an_exception_is_told_with_type_and_first_line(
    attempt: Attempt, another: Callable[[], Attempt]
) -> None:
    with pytest.raises(SolverFault) as caught:
        await attempt.solve("fail")

    assert caught.value.message == "The solver failed: ValueError: the numbers do not add up"
    assert "in fail" in caught.value.details
    assert caught.value.best is not None
    assert caught.value.best.cost == 8
    assert (await another().solve("prove")).cost == 5


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("call_sys_exit", "The solver failed: SystemExit: had enough"),
        ("wrong_outcome", "The solver's answer failed the check: the sum is 3, not 4"),
        ("wrong_incumbent", "The solver's answer failed the check: 2 numbers instead of 3"),
        ("wrong_incumbent_in_thread", "The solver's answer failed the check: 2 numbers instead"),
        ("false_proof", "The solver claimed a proof with cost 5 and lower bound 4."),
        ("bound_above_cost", "The solver claimed a lower bound of 6, above a checked cost of 5."),
        ("infeasible_beside_solution", "The solver claimed infeasibility beside a checked"),
    ],
)
async def test_a_broken_promise_is_a_fault_told_at_once(
    attempt: Attempt, behaviour: str, message: str
) -> None:
    with promised(5), pytest.raises(SolverFault) as caught:
        await attempt.solve(behaviour)

    assert caught.value.message.startswith(message)
    assert all(progress.cost in (5, 8) for progress in attempt.seen)


async def test_an_instance_that_cannot_be_read_is_a_fault(attempt: Attempt) -> None:
    with pytest.raises(SolverFault, match="The solver failed: ValidationError"):
        await attempt.solve("prove", instance=b'{"size": "three"}')


async def test_a_fork_server_that_cannot_start_is_a_crash_and_not_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "broken-1.0.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Name: broken\nVersion: 1.0\n")
    (plugin / "entry_points.txt").write_text("[optimized_tsp.solvers]\nx = not_there:Solver\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async with SolverProcess() as runner:
        with pytest.raises(SolverCrashed, match="the process that starts solvers ended: exit code"):
            await runner.ready()
        with pytest.raises(SolverCrashed):
            await runner.ready()


async def test_a_shortage_of_files_is_a_crash_and_over_when_it_is_over() -> None:
    with no_more_files():
        async with SolverProcess(preload=False):
            await asyncio.sleep(0)  # a start has begun, and nobody hears how it ends

    async with SolverProcess(preload=False) as runner:
        with no_more_files():
            for _ in range(2):
                with pytest.raises(
                    SolverCrashed, match=r"cannot be started: .*Too many open files"
                ):
                    await runner.ready()

        assert (await Attempt(runner).solve("prove")).cost == 5


WITHOUT_THREADS = """
import asyncio
import subprocess
import sys
from contextlib import suppress

from optimized_tsp.solvers.process import SolverCrashed, SolverProcess
from tests.shortages import no_more_threads

async def main():
    async with SolverProcess(preload=False) as runner:
        with no_more_threads(), suppress(SolverCrashed):  # not every Python needs one
            await runner.ready()
        await runner.ready()

asyncio.run(main())
"""


def test_a_shortage_of_threads_is_over_when_it_is_over() -> None:
    # In a process of its own: asyncio had no thread to wait for the server that ended.
    command = [sys.executable, "-c", WITHOUT_THREADS]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 0, ended.stderr

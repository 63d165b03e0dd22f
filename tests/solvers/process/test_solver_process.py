"""A solve in a child process: its reports, its time limit, its stop, and the reuse of children."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.solvers.process import ChildLimits, SolveRequest, SolverProcess
from tests.crowding import crowding
from tests.promises import promised
from tests.solvers.process.conftest import Attempt, gone, until


async def test_a_solve_reports_each_improvement_and_the_proof(attempt: Attempt) -> None:
    report = await attempt.solve("prove")

    assert [(p.cost, p.lower_bound, p.improved) for p in attempt.seen] == [
        (9, None, True),
        (5, 3, True),
    ]
    assert report.solution_status is SolutionStatus.OPTIMAL
    assert report.stop_reason is StopReason.PROVEN
    assert report.solution == {"cost": 5, "numbers": [5, 0, 0]}
    assert (report.cost, report.lower_bound, report.gap) == (5, 5, 0.0)
    assert report.warnings == ()


async def test_infeasible_is_an_answer(attempt: Attempt) -> None:
    report = await attempt.solve("infeasible")

    assert report.solution_status is SolutionStatus.INFEASIBLE
    assert report.stop_reason is StopReason.PROVEN
    assert report.solution is None


async def test_the_best_solution_is_the_answer_even_if_a_worse_one_is_returned(
    attempt: Attempt,
) -> None:
    report = await attempt.solve("worse_in_the_end")

    assert report.cost == 5
    assert report.solution == {"cost": 5, "numbers": [5, 0, 0]}


async def test_a_known_solution_is_published_first_and_handed_to_the_solver(
    attempt: Attempt,
) -> None:
    report = await attempt.solve("from_start", start={"cost": 42, "numbers": [40, 1, 1]})

    assert [p.cost for p in attempt.seen] == [42]
    assert report.cost == 42
    assert report.warnings == ()


@pytest.mark.parametrize(
    "start",
    [{"cost": 42, "numbers": [1, 1]}, {"cost": 1, "numbers": [1, 1, 1]}, {"numbers": "what"}],
)
async def test_a_start_that_is_no_solution_is_left_out_with_a_warning(
    attempt: Attempt, start: dict[str, object]
) -> None:
    report = await attempt.solve("from_start", start=start)

    assert report.cost == 99
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith("The start was ignored: ")


async def test_a_polite_solver_returns_at_once_when_stopped(attempt: Attempt) -> None:
    attempt.stop_at_first_progress()

    with promised(0.5):
        report = await attempt.solve("polite")

    assert report.stop_reason is StopReason.CANCELLED
    assert report.solution_status is SolutionStatus.FEASIBLE
    assert (report.cost, report.lower_bound) == (7, 2)


@pytest.mark.parametrize("behaviour", ["ignore_stop", "hold_the_interpreter"])
async def test_a_stopped_solve_returns_within_a_second_with_the_best_solution(
    attempt: Attempt, behaviour: str
) -> None:
    attempt.stop_at_first_progress()

    with promised(1.0):
        report = await attempt.solve(behaviour)

    assert report.stop_reason is StopReason.CANCELLED
    assert report.solution_status is SolutionStatus.FEASIBLE
    assert report.solution == {"cost": 8, "numbers": [8, 0, 0]}
    assert (report.cost, report.lower_bound) == (8, 1)


async def test_a_crash_on_the_way_out_of_a_cancelled_solve_costs_nothing(attempt: Attempt) -> None:
    attempt.stop_at_first_progress()

    report = await attempt.solve("crash_when_stopped")

    assert report.stop_reason is StopReason.CANCELLED
    assert report.cost == 8


@pytest.mark.parametrize("behaviour", ["polite", "descend", "ignore_stop", "hold_the_interpreter"])
async def test_the_time_limit_is_a_promise_about_wall_time(
    attempt: Attempt, behaviour: str
) -> None:
    begun = time.monotonic()
    with promised(0.5, after_s=0.5):
        report = await attempt.solve(behaviour, time_limit_s=0.5)

    assert time.monotonic() - begun > 0.4
    assert report.stop_reason is StopReason.TIME_LIMIT
    assert report.solution_status is SolutionStatus.FEASIBLE
    assert report.cost == attempt.seen[-1].cost


async def test_a_stop_in_the_moment_of_the_answer_changes_nothing(
    attempt: Attempt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = tmp_path / "gate"
    loop = asyncio.get_running_loop()

    def let_both_come() -> None:
        gate.touch()
        time.sleep(0.1)  # the loop finds the answer together with the stop
        loop.call_soon(attempt.stop.set)

    attempt.on_progress = lambda _: loop.call_later(0.02, let_both_come)
    report = await attempt.solve("prove", gate=gate)
    await asyncio.sleep(0.01)
    gc.collect()  # asyncio logs an exception that nobody saw when its task is forgotten

    assert report.stop_reason is StopReason.PROVEN
    assert caplog.records == []


async def test_nothing_known_at_the_time_limit_is_unknown(attempt: Attempt) -> None:
    report = await attempt.solve("prove", size=10**7, time_limit_s=0.05)

    assert report.solution_status is SolutionStatus.UNKNOWN
    assert report.stop_reason is StopReason.TIME_LIMIT
    assert report.solution is None


async def test_reports_after_the_end_are_dropped(
    attempt: Attempt, another: Callable[[], Attempt]
) -> None:
    report = await attempt.solve("report_afterwards")
    next_report = await another().solve("polite", time_limit_s=0.2)

    assert report.cost == 5
    assert attempt.seen == []
    assert next_report.cost == 7


async def test_a_big_instance_does_not_block_the_event_loop(attempt: Attempt) -> None:
    instance = b'{"size": 3, "padding": "%s"}' % (b"x" * 64 * 2**20)
    ticks = [time.monotonic()]

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)
            ticks.append(time.monotonic())

    ticking = asyncio.create_task(tick())
    report = await attempt.solve("prove", instance=instance)
    ticking.cancel()

    assert report.cost == 5
    assert len(ticks) > 20
    assert max(later - tick for tick, later in pairwise(ticks)) < 0.3 * crowding(ticks[0])


async def test_many_large_solutions_all_arrive(attempt: Attempt) -> None:
    report = await attempt.solve("flood", size=20_000)

    assert [p.cost for p in attempt.seen] == list(range(300, 100, -1))
    assert report.cost == 101


async def test_what_solvers_print_does_not_reach_standard_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with SolverProcess(preload=False) as runner:  # started while output is captured
        await Attempt(runner).solve("print_a_lot")

    captured = capfd.readouterr()
    assert captured.out == ""
    assert "noise from native code" in captured.err


async def test_a_child_is_reused_after_a_clean_end_and_replaced_after_some_solves(
    another: Callable[[], Attempt], limits: ChildLimits
) -> None:
    reports = [await another().solve("prove") for _ in range(limits.max_solves + 1)]

    pids = [report.statistics["pid"] for report in reports]
    assert len(set(pids[: limits.max_solves])) == 1
    assert pids[-1] != pids[0]


async def test_a_child_that_grew_too_much_is_replaced(another: Callable[[], Attempt]) -> None:
    pids = [(await another().solve("leak")).statistics["pid"] for _ in range(5)]

    assert pids[0] == pids[3] != pids[4]


async def test_a_child_with_threads_left_behind_is_replaced(
    another: Callable[[], Attempt],
) -> None:
    first = await another().solve("report_afterwards")
    second = await another().solve("prove")

    assert first.statistics["pid"] != second.statistics["pid"]


async def test_a_child_that_was_stopped_is_replaced(
    attempt: Attempt, another: Callable[[], Attempt]
) -> None:
    attempt.stop_at_first_progress()
    stopped = await attempt.solve("polite")
    after = await another().solve("prove")

    assert stopped.statistics["pid"] != after.statistics["pid"]


async def test_a_child_that_died_while_idle_is_replaced(another: Callable[[], Attempt]) -> None:
    first = await another().solve("prove")
    child = psutil.Process(first.statistics["pid"])
    child.kill()
    await until(lambda: gone(child) and child.num_threads() == 1)  # its last thread too

    second = await another().solve("prove")

    assert second.cost == 5
    assert second.statistics["pid"] != child.pid


async def test_one_solve_at_a_time(attempt: Attempt, another: Callable[[], Attempt]) -> None:
    running = asyncio.create_task(attempt.solve("polite"))
    await until(lambda: attempt.seen)

    with pytest.raises(RuntimeError, match="solving already"):
        await another().solve("prove")

    attempt.stop.set()
    assert (await running).cost == 7


async def test_cancelling_the_caller_kills_the_child(
    attempt: Attempt, another: Callable[[], Attempt]
) -> None:
    running = asyncio.create_task(attempt.solve("start_a_process"))
    await until(lambda: attempt.seen)
    grandchild = psutil.Process(attempt.seen[0].cost)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert (await another().solve("prove")).cost == 5
    await until(lambda: gone(grandchild), within_s=1)


async def test_a_trivial_solve_takes_milliseconds_and_a_replacement_not_much_more() -> None:
    async with SolverProcess() as runner:  # with the engines loaded, as the worker has it
        await runner.ready()
        await Attempt(runner).solve("prove")

        with promised(0.05):
            await Attempt(runner).solve("prove")

        stopped = Attempt(runner)
        stopped.stop_at_first_progress()
        await stopped.solve("polite")
        with promised(0.5):
            await Attempt(runner).solve("prove")


async def test_the_registered_solvers_can_be_asked_for_by_name_only(runner: SolverProcess) -> None:
    request = SolveRequest("os:system", "v1", b"{}", 1.0)

    with pytest.raises(Exception, match="There is no solver os:system v1 here"):
        await runner.solve(request, stop=asyncio.Event(), on_progress=lambda _: None)

"""A solver that misbehaves on request, registered like any other package's: by its entry point.

Put this folder on `sys.path` (PYTHONPATH for other processes) to make it known. The problem: find
`size` numbers with a small sum. The parameter `behaviour` names what to do beside that.
"""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from optimized_tsp.solvers.contract import (
    Example,
    Incumbent,
    InstanceSize,
    InvalidSolution,
    Outcome,
    SolutionStatus,
    SolverParameters,
    StopReason,
    StopSignal,
    StrictModel,
)

__all__ = ["OddSolver"]


class OddInstance(StrictModel):
    size: int
    padding: str = ""


class OddParameters(SolverParameters):
    behaviour: str
    gate: str | None = None


class OddSolution(StrictModel):
    cost: int
    numbers: list[int]


@dataclass
class Run:
    """One solve, with what a behaviour needs at hand."""

    instance: OddInstance
    parameters: OddParameters
    stop: StopSignal
    report: Callable[[Incumbent[OddSolution]], None]
    start: OddSolution | None

    def solution(self, cost: int) -> OddSolution:
        return OddSolution(cost=cost, numbers=[cost] + [0] * (self.instance.size - 1))

    def publish(self, cost: int, lower_bound: int | None = None) -> None:
        self.report(Incumbent(self.solution(cost), cost, lower_bound))

    def feasible(self, cost: int, reason: StopReason = StopReason.NO_IMPROVEMENT) -> Any:
        return self.outcome(SolutionStatus.FEASIBLE, reason, cost, None)

    def outcome(
        self, status: SolutionStatus, reason: StopReason, cost: int | None, bound: int | None
    ) -> Outcome[OddSolution]:
        solution = None if cost is None else self.solution(cost)
        facts = {"pid": os.getpid(), "timeout": self.parameters.timeout}
        return Outcome(status, reason, solution, cost, bound, statistics=facts)

    def wait_for_gate(self) -> None:
        """Until the test creates the file, asked to stop or not."""
        while self.parameters.gate and not Path(self.parameters.gate).exists():
            time.sleep(0.005)


def prove(run: Run) -> Any:
    run.publish(9)
    run.publish(5, 3)
    run.wait_for_gate()
    return run.outcome(SolutionStatus.OPTIMAL, StopReason.PROVEN, 5, 5)


def from_start(run: Run) -> Any:
    return run.feasible(run.start.cost if run.start else 99)


def infeasible(run: Run) -> Any:
    return run.outcome(SolutionStatus.INFEASIBLE, StopReason.PROVEN, None, None)


def polite(run: Run) -> Any:
    run.publish(7, 2)
    if run.stop.wait(run.parameters.timeout):
        return run.feasible(7, StopReason.CANCELLED)
    return run.feasible(7, StopReason.TIME_LIMIT)


def find_nothing(run: Run) -> Any:
    run.stop.wait(run.parameters.timeout)
    return run.outcome(SolutionStatus.UNKNOWN, StopReason.TIME_LIMIT, None, None)


def improve_start(run: Run) -> Any:
    """9 at first; from a known solution, one better and proven optimal."""
    if run.start is None:
        run.publish(9, 1)
        run.wait_for_gate()
        return run.feasible(9)
    cost = run.start.cost - 1
    return run.outcome(SolutionStatus.OPTIMAL, StopReason.PROVEN, cost, cost)


def descend(run: Run) -> Any:
    """A better solution every 20 ms, until stopped."""
    cost = 10_000
    while not run.stop.wait(0.02):
        run.publish(cost, 1)
        cost -= 1
    return run.feasible(cost + 1, StopReason.CANCELLED)


def descend_noting(run: Run) -> Any:
    """A better solution every 50 ms, until stopped; the gate is where each is noted with its time.

    A run that goes on from a known solution goes on below its cost.
    """
    cost = run.start.cost - 1 if run.start else 100_000
    with Path(str(run.parameters.gate)).open("a", buffering=1) as notes:
        while not run.stop.wait(0.05):
            notes.write(f"{time.time()} {cost}\n")
            run.publish(cost, 1)
            cost -= 1
    return run.feasible(cost + 1, StopReason.CANCELLED)


def ignore_stop(run: Run) -> Any:
    run.publish(8, 1)
    while True:
        time.sleep(60)


def hold_the_interpreter(run: Run) -> Any:
    run.publish(8, 1)
    return ctypes.PyDLL(None).sleep(60)  # unlike CDLL this keeps the lock: no other thread runs


def start_a_process(run: Run) -> Any:
    process = subprocess.Popen(["/bin/sleep", "600"])
    run.publish(process.pid)
    process.wait()


def segfault(run: Run) -> Any:
    run.publish(8, 1)
    run.wait_for_gate()
    return ctypes.string_at(0)


def abort(run: Run) -> Any:
    run.publish(8, 1)
    os.abort()


def exit_quietly(run: Run) -> Any:
    run.publish(8, 1)
    os._exit(3)


def crash_when_stopped(run: Run) -> Any:
    run.publish(8, 1)
    run.stop.wait()
    os.abort()


def fail(run: Run) -> Any:
    run.publish(8, 1)
    run.wait_for_gate()
    raise ValueError("the numbers do not add up\nsecond line")


def improve_soon(run: Run) -> None:
    """The better solution comes once the first was taken, and too early to be stored at once."""
    run.publish(8, 1)
    time.sleep(0.05)
    run.publish(7, 1)


def improve_then_wait(run: Run) -> Any:
    improve_soon(run)
    run.stop.wait(run.parameters.timeout)
    return run.feasible(7, StopReason.CANCELLED)


def improve_then_fail(run: Run) -> Any:
    improve_soon(run)
    raise ValueError("no more")


def call_sys_exit(_: Run) -> Any:
    sys.exit("had enough")


def wrong_outcome(run: Run) -> Any:
    solution = OddSolution(cost=4, numbers=[1] * run.instance.size)
    return Outcome(SolutionStatus.FEASIBLE, StopReason.NO_IMPROVEMENT, solution, 4)


def wrong_incumbent(run: Run) -> Any:
    run.publish(8, 1)
    run.report(Incumbent(OddSolution(cost=4, numbers=[1, 1]), 4, None))
    time.sleep(60)


def wrong_incumbent_in_thread(run: Run) -> Any:
    thread = threading.Thread(target=wrong_incumbent, args=(run,))
    thread.start()
    thread.join()


def false_proof(run: Run) -> Any:
    return run.outcome(SolutionStatus.OPTIMAL, StopReason.PROVEN, 5, 4)


def bound_above_cost(run: Run) -> Any:
    run.publish(5)
    run.report(Incumbent(None, 5, 6))
    time.sleep(60)


def infeasible_beside_solution(run: Run) -> Any:
    run.publish(5)
    return infeasible(run)


def worse_in_the_end(run: Run) -> Any:
    run.publish(5)
    return run.feasible(6)


def report_afterwards(run: Run) -> Any:
    def report() -> None:
        for cost in range(4, 0, -1):
            time.sleep(0.01)
            run.publish(cost)

    threading.Thread(target=report).start()
    return run.feasible(5)


def print_a_lot(run: Run) -> Any:
    os.write(1, b"noise from native code\n")
    sys.stdout.write("noise from Python\n")
    sys.stdout.flush()
    return run.feasible(5)


_KEPT: list[bytes] = []


def eat_memory(run: Run) -> Any:
    """More and more, up to a bound that spares the machine."""
    run.publish(8, 1)
    for _ in range(40):
        _KEPT.append(os.urandom(16 * 2**20))
        time.sleep(0.02)
    time.sleep(60)


def talk(run: Run) -> Any:
    """Says things through `logging`, finds a solution, waits for the gate, says how it ended."""
    logger = logging.getLogger("odd")
    logger.debug("not for the log")
    logger.info("looking at %d numbers", run.instance.size)
    logger.warning("odd\0 \ud800 characters: \u2211, \U0001f600")
    logger.info("a wrong number of %s %s", "arguments")  # noqa: PLE1206
    run.publish(7, 2)
    run.wait_for_gate()
    logger.info("done")
    return run.feasible(7)


def talk_without_end(run: Run) -> Any:
    """Talks in two threads, also when the solve is over."""
    logger = logging.getLogger("odd")

    def talk() -> None:
        while True:
            logger.info("blah " * 2000)

    threading.Thread(target=talk, daemon=True).start()
    run.publish(7, 2)
    for number in range(2000):
        logger.info("%d: %s", number, "x" * 1000)
    return run.feasible(7)


def leak(run: Run) -> Any:
    _KEPT.append(os.urandom(32 * 2**20))
    return run.feasible(5)


def flood(run: Run) -> Any:
    for cost in range(300, 100, -1):
        run.publish(cost)
    return run.feasible(101)


BEHAVIOURS: dict[str, Callable[[Run], Any]] = {
    function.__name__: function
    for function in (
        abort,
        bound_above_cost,
        call_sys_exit,
        crash_when_stopped,
        descend,
        descend_noting,
        eat_memory,
        exit_quietly,
        fail,
        false_proof,
        find_nothing,
        flood,
        from_start,
        hold_the_interpreter,
        ignore_stop,
        improve_start,
        improve_then_fail,
        improve_then_wait,
        infeasible,
        infeasible_beside_solution,
        leak,
        polite,
        print_a_lot,
        prove,
        report_afterwards,
        segfault,
        start_a_process,
        talk,
        talk_without_end,
        worse_in_the_end,
        wrong_incumbent,
        wrong_incumbent_in_thread,
        wrong_outcome,
    )
}


class OddSolver:
    name: ClassVar[str] = "odd"
    version: ClassVar[str] = "v1"
    instance_field: ClassVar[str] = "instance"
    instance_type = OddInstance
    parameters_type = OddParameters
    solution_type = OddSolution

    def size(self, instance: OddInstance) -> InstanceSize:
        return InstanceSize(instance.size, None)

    def examples(self) -> list[Example]:
        return []

    def validate(self, instance: OddInstance) -> None:
        """Every instance is fine."""

    def solve(
        self,
        instance: OddInstance,
        parameters: OddParameters,
        *,
        seed: int,
        stop: StopSignal,
        on_incumbent: Callable[[Incumbent[OddSolution]], None],
        start: OddSolution | None,
    ) -> Outcome[OddSolution]:
        run = Run(instance, parameters, stop, on_incumbent, start)
        outcome: Outcome[OddSolution] = BEHAVIOURS[parameters.behaviour](run)
        return outcome

    def check(self, instance: OddInstance, solution: OddSolution) -> None:
        if len(solution.numbers) != instance.size:
            raise InvalidSolution(f"{len(solution.numbers)} numbers instead of {instance.size}")
        if sum(solution.numbers) != solution.cost:
            raise InvalidSolution(f"the sum is {sum(solution.numbers)}, not {solution.cost}")

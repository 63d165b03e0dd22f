"""The solver's own process: reads requests, runs solvers, sends what passed the check."""

from __future__ import annotations

import faulthandler
import os
import queue
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import orjson
from pydantic import ValidationError

from optimized_tsp.solvers.contract import InvalidSolution
from optimized_tsp.solvers.process.checked import CheckedSolve, ContractBroken
from optimized_tsp.solvers.process.log_capture import captured_log
from optimized_tsp.solvers.process.messages import Kind, as_json, receive_frame, send_frame
from optimized_tsp.solvers.registry import AnySolver, find_solver

__all__ = ["serve"]

_MINIMAL_TIME_S = 0.001
_PUBLIC_MESSAGE_CHARS = 300


@dataclass(frozen=True, slots=True)
class _Task:
    header: dict[str, Any]
    instance: bytes
    stop: threading.Event


def serve(channel: socket.socket) -> NoReturn:
    """Solve what arrives on the channel until the other end closes; never returns."""
    faulthandler.enable()
    try:
        _Child(channel).run()
    except BaseException:  # noqa: BLE001 - whatever it is, this fork must not run its parent's code
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)


class _Child:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._sending = threading.Lock()
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()

    def run(self) -> NoReturn:
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        self._send(Kind.READY, _held())
        while True:
            task = self._tasks.get()
            try:
                with captured_log(self._send, started_at=task.header["started_at"]):
                    report = self._solve(task)
            except BaseException as error:  # noqa: BLE001 - SystemExit is a fault like any other
                self._abort(error)
            self._send(Kind.OUTCOME, report | {"left_behind": _held()})

    def _listen(self) -> None:
        """Take requests while a solver runs; leave at once when the parent is gone."""
        stop = threading.Event()
        try:
            while True:
                kind, body = receive_frame(self._channel)
                if kind is Kind.STOP:
                    stop.set()
                    continue
                _, instance = receive_frame(self._channel)
                stop = threading.Event()
                self._tasks.put(_Task(orjson.loads(body), instance, stop))
        except (EOFError, ConnectionError):
            os._exit(0)

    def _send(self, kind: Kind, data: dict[str, Any]) -> None:
        try:
            with self._sending:
                send_frame(self._channel, kind, as_json(data))
        except ConnectionError:
            os._exit(0)

    def _abort(self, error: BaseException) -> NoReturn:
        """Report a fault and end: nobody knows what state such a solver leaves behind."""
        self._send(Kind.FAULT, _fault(error))
        os._exit(0)

    def _solve(self, task: _Task) -> dict[str, Any]:
        header = task.header
        solver = find_solver(header["solver"], header["version"])
        if solver is None:
            raise ContractBroken(f"There is no solver {header['solver']} {header['version']} here.")
        reading_since = time.monotonic()
        instance = solver.instance_type.model_validate_json(task.instance)
        reading_s = time.monotonic() - reading_since
        solve = CheckedSolve(
            solver, instance, started_at=header["started_at"], send=self._send, abort=self._abort
        )
        start, warnings = _usable_start(solver, solve, header["start"])
        # The last solution is still to be checked and sent, about as much work as reading was.
        left_s = max(_MINIMAL_TIME_S, header["deadline"] - time.monotonic() - reading_s)
        # Not validated again with what is left: limits were compared with the time limit asked for.
        parameters = solver.parameters_type.model_validate_json(
            as_json(header["parameters"])
        ).model_copy(update={"timeout": left_s, "threads": header["threads"]})
        outcome = solver.solve(
            instance,
            parameters,
            seed=parameters.seed,
            stop=task.stop,
            on_incumbent=solve.on_incumbent,
            start=start,
        )
        return solve.conclude(outcome) | {"warnings": warnings}


def _usable_start(
    solver: AnySolver, solve: CheckedSolve, data: dict[str, Any] | None
) -> tuple[Any, list[str]]:
    """The start as the solver's own type, None with a warning where it is not a solution."""
    if data is None:
        return None, []
    try:
        start = solver.solution_type.model_validate_json(as_json(data))
        solve.offer_start(start)
    except (ValidationError, InvalidSolution) as error:
        return None, [f"The start was ignored: {_first_line(error)}"]
    return start, []


def _fault(error: BaseException) -> dict[str, Any]:
    message = _first_line(error)
    if not isinstance(error, ContractBroken):
        message = f"The solver failed: {type(error).__name__}: {message}"
    return {"message": message, "details": "".join(traceback.format_exception(error))}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:_PUBLIC_MESSAGE_CHARS]


def _held() -> dict[str, int]:
    """Resident memory in bytes and threads of this process; nothing where there is no /proc."""
    process = Path("/proc/self")
    if not process.exists():
        return {"rss_bytes": 0, "threads": 0}
    pages = int((process / "statm").read_text().split()[1])
    return {
        "rss_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "threads": len(list((process / "task").iterdir())),
    }

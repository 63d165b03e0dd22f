"""One program at a time: started through the launcher, logged to a file, stopped for certain."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from optimized_tsp.embedded.account import Account
from optimized_tsp.embedded.errors import ProcessFailed

__all__ = [
    "Order",
    "Pause",
    "Process",
    "bound_log",
    "run",
    "spawn",
    "stop_all",
    "wait_until",
]

_LAUNCHER = Path(__file__).with_name("launch.py")
_LOG_LIMIT_BYTES = 8 * 2**20
_TAIL_LINES = 15
_POLL_S = 0.01
_LAST_GRACE_S = 0.5

Pause = Callable[[float], None]
"""Waits that many seconds; the supervisor's also listens to signals meanwhile."""


@dataclass(frozen=True)
class Order:
    """What to run, and as whom.

    Attributes:
        command: program and arguments; `{folder}` in an argument becomes a path to `folder`.
        env: the whole environment.
        account: the user to become; None stays the caller.
        folder: a folder the program works in, reachable for it even below a closed one.
        death_signal: what the program gets when this process dies.
        stdin: text to read, for secrets that must not show in the process list.
    """

    command: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    folder: Path | None = None
    death_signal: signal.Signals = signal.SIGKILL
    stdin: str | None = None

    def launcher_command(self) -> list[str]:
        """The command line that runs this order."""
        order = {
            "parent": os.getpid(),
            "death_signal": int(self.death_signal),
            "uid": self.account.uid if self.account else None,
            "gid": self.account.gid if self.account else None,
            "folder": str(self.folder) if self.folder else None,
        }
        return [
            sys.executable,
            "-I",
            "-S",
            str(_LAUNCHER),
            json.dumps(order),
            *map(str, self.command),
        ]


def spawn(order: Order, output: IO[bytes] | int | None) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that the terminal's Ctrl-C reaches only us.

    Call it from the main thread: the kernel ties the child's life to the thread that made it.
    """
    popen = subprocess.Popen(
        order.launcher_command(),
        env=dict(order.env),
        stdin=subprocess.DEVNULL if order.stdin is None else subprocess.PIPE,
        stdout=output,
        stderr=output if output is None else subprocess.STDOUT,
        start_new_session=True,
    )
    if popen.stdin is not None and order.stdin is not None:
        with popen.stdin:
            popen.stdin.write(order.stdin.encode())
    return popen


def run(order: Order, *, name: str, timeout_s: float, pause: Pause = time.sleep) -> str:
    """Run a program to its end and return what it printed; raise `ProcessFailed` otherwise."""
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as output:  # noqa: PTH123 - a descriptor, not a path
        try:
            popen = spawn(order, write_end)
        finally:
            os.close(write_end)
        os.set_blocking(read_end, False)
        said = bytearray()

        def ended() -> bool:
            said.extend(output.read() or b"")
            return popen.poll() is not None

        try:
            finished = wait_until(ended, timeout_s=timeout_s, pause=pause)
        finally:
            kill_group(popen)
        said.extend(output.read() or b"")
    text = said.decode(errors="replace")
    if popen.returncode != 0:
        why = f"ended with {describe_exit(popen.returncode)}" if finished else "took too long"
        raise ProcessFailed(f"{name} {why}:\n{_last_lines(text)}")
    return text


def wait_until(
    condition: Callable[[], bool], *, timeout_s: float, pause: Pause = time.sleep
) -> bool:
    """Whether the condition came true within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        pause(_POLL_S)
    return True


def kill_group(popen: subprocess.Popen[bytes]) -> None:
    """Kill a program and what it started; nothing happens when all of it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(popen.pid, signal.SIGKILL)
    popen.wait()


def describe_exit(returncode: int) -> str:
    """An exit status in words."""
    if returncode >= 0:
        return f"exit status {returncode}"
    return signal.Signals(-returncode).name


def bound_log(path: Path) -> None:
    """Move a log that has grown too large aside, keeping one older part.

    The file is emptied in place: its writers append, so they go on without reopening it. Raises
    OSError when the older part could not be kept, on a full disk above all; emptying the log then
    makes room.
    """
    if not path.exists() or path.stat().st_size <= _LOG_LIMIT_BYTES:
        return
    older = path.with_suffix(".log.1")
    try:
        shutil.copyfile(path, older)
    except OSError:
        older.unlink(missing_ok=True)  # half of it: others need the room more
        raise
    finally:
        os.truncate(path, 0)


def _last_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
    return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"


class Process:
    """A named program that is started, watched and stopped; started again after it died."""

    def __init__(
        self,
        name: str,
        order: Order,
        log: Path,
        *,
        is_ready: Callable[[Process], bool] = lambda _: True,
        before_start: Callable[[], None] = lambda: None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.order = order
        self.log = log
        self._is_ready = is_ready
        self._before_start = before_start
        self._stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running program."""
        if self._popen is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._popen.pid

    def start(self) -> None:
        """Start the program; what it prints goes to the end of its log."""
        self._before_start()
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._popen = spawn(self.order, descriptor)
        finally:
            os.close(descriptor)

    def wait_ready(self, *, timeout_s: float, pause: Pause = time.sleep) -> None:
        """Wait until the program can be used; raise `ProcessFailed` when it dies or is too slow."""
        ready = wait_until(
            lambda: not self.is_running() or self.is_ready(), timeout_s=timeout_s, pause=pause
        )
        if not self.is_running():
            raise ProcessFailed(f"{self.name} {self.last_words()}")
        if not ready:
            raise ProcessFailed(
                f"{self.name} was not ready after {timeout_s:g} s. {self.log} ends with:\n"
                f"{self.log_tail()}"
            )

    def is_ready(self) -> bool:
        """Whether the program can be used."""
        return self.is_running() and self._is_ready(self)

    def is_running(self) -> bool:
        """Whether the program is alive (its end is noticed here)."""
        return self._popen is not None and self._popen.poll() is None

    def ending(self) -> str:
        """How the program ended, in words."""
        status = self._popen.poll() if self._popen else None
        return "was not started" if status is None else f"ended with {describe_exit(status)}"

    def last_words(self) -> str:
        """How the program ended, with the end of its log."""
        return f"{self.ending()}. {self.log} ends with:\n{self.log_tail()}"

    def log_tail(self) -> str:
        """The last lines of the log, indented."""
        return _last_lines(self.log.read_text(errors="replace")) if self.log.exists() else ""

    def ask_to_stop(self) -> None:
        """Send the polite stop signal."""
        self.send(self._stop_signal)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, if it runs."""
        if self._popen is not None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """End the program at once, with everything it left in its process group."""
        if self._popen is not None:
            # Postgres takes its own children along when it gets this instead of SIGKILL.
            self._popen.send_signal(self.order.death_signal)
            wait_until(lambda: not self.is_running(), timeout_s=_LAST_GRACE_S)
            kill_group(self._popen)


def stop_all(processes: Sequence[Process], *, grace_s: float, pause: Pause = time.sleep) -> None:
    """Ask all of them to stop, wait up to `grace_s` seconds altogether, then kill what is left."""
    for process in processes:
        process.ask_to_stop()
    wait_until(
        lambda: not any(process.is_running() for process in processes),
        timeout_s=grace_s,
        pause=pause,
    )
    for process in processes:
        process.kill()

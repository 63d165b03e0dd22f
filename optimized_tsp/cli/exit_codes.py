"""How a command ends: its exit code, and what it says when it fails in an expected way."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NoReturn

import typer

__all__ = ["CommandError", "ExitCode", "complain", "finish", "run"]


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    ERROR = 1
    """Something on this machine failed, for instance a file could not be written."""
    USAGE = 2
    """The command line, a setting or a file given is wrong."""
    NO_SOLUTION = 3
    """There is no solution: none was found, or the problem is infeasible."""
    REJECTED = 4
    """The server refused (4xx)."""
    UNREACHABLE = 5
    """The server failed (5xx), or there was no way to it."""
    JOB_FAILED = 6
    CANCELLED = 7
    TIMED_OUT = 8
    """The wait was over before the job was; it goes on."""
    INTERRUPTED = 130


class CommandError(Exception):
    """An expected failure: what to tell the person, and the exit code.

    `details` are lines of their own below the message.
    """

    def __init__(self, message: str, code: ExitCode, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details


def complain(message: str) -> None:
    """A message for the person, on stderr."""
    sys.stderr.write(f"optimized-tsp: {message}\n")


def finish(work: Callable[[], ExitCode]) -> NoReturn:
    """Run a command of the typer application to its end."""
    raise typer.Exit(run(work))


def run(work: Callable[[], ExitCode]) -> ExitCode:
    """Run a command; expected failures become a message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a name gets an escape instead of ending the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # So that a terminal gets its cursor back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        code = work()
        sys.stdout.flush()
    except CommandError as error:
        complain(error.message)
        for line in error.details:
            complain(f"  {line}")
        return error.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return code

"""What the parent, its fork server and its solver child say to each other, as plain data.

Nothing is pickled: a child whose memory was trampled by native code can send nonsense, but cannot
make the parent run it. A frame is a kind, a length and a body; bodies are JSON except for the
instance, which travels as the bytes it was stored in.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from optimized_tsp.solvers.contract import SolutionStatus, StopReason, relative_gap

__all__ = [
    "FORK",
    "FRAME_HEAD",
    "LOG_BYTES",
    "Kind",
    "LogLine",
    "Progress",
    "REAP",
    "REPLY",
    "REQUEST",
    "SolveReport",
    "SolveRequest",
    "SolverCrashed",
    "SolverFault",
    "as_json",
    "frame_head",
    "log_line_bytes",
    "receive_frame",
    "send_frame",
]

FRAME_HEAD = struct.Struct("!cQ")
"""Kind of the frame and length of its body in bytes."""

REQUEST = struct.Struct("!ci")
"""To the fork server: what to do (FORK or REAP), and to which process."""
REPLY = struct.Struct("!i")
"""FORK: the process id; REAP: the exit code, negative for a signal."""
FORK = b"F"
"""Fork a child that serves the socket which comes with the request."""
REAP = b"R"
"""Kill a child unless it ended already, and say how it ended."""


LOG_BYTES = 2**20
"""Most that is kept of a solver's log, by `log_line_bytes`."""
_LINE_BYTES = 64


class Kind(bytes, Enum):
    """Kinds of frames; a child that closes its end is gone, a parent that does so wants it gone."""

    SOLVE = b"S"
    """Parent: solve this (JSON); followed by an INSTANCE frame."""
    INSTANCE = b"I"
    """Parent: the instance of the SOLVE before it."""
    STOP = b"X"
    """Parent: stop the current solve, if any."""
    READY = b"R"
    """Child: started, with the memory and threads it has."""
    PROGRESS = b"P"
    """Child: a checked solution, a better bound, or both."""
    LOG = b"L"
    """Child: a line of the solver's log."""
    OUTCOME = b"O"
    """Child: the solve ended; the child waits for the next one."""
    FAULT = b"F"
    """Child: the solver did something wrong; the child is of no further use."""


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """One solve: which solver, on what, for how long.

    `instance` is the JSON text of the solver's instance type. `parameters` are the submitted ones;
    their timeout and threads are replaced by `time_limit_s` (wall time) and `threads`. `start` is a
    known solution as JSON-like data; one that does not pass the check is left out with a warning.
    """

    solver: str
    version: str
    instance: bytes
    time_limit_s: float
    threads: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The best known so far, checked; `solution` is None while there is none.

    `improved` says that this report brings a better solution, not only a better bound.
    `elapsed_s` counts from the start of the solve, in wall time.
    """

    solution: dict[str, Any] | None
    cost: int | None
    lower_bound: int | None
    elapsed_s: float
    improved: bool

    @property
    def gap(self) -> float | None:
        return relative_gap(self.cost, self.lower_bound)


@dataclass(frozen=True, slots=True)
class LogLine:
    """Something a solver said through `logging`; `elapsed_s` as in `Progress`.

    `level` is the name of the record's level, in small letters. `truncated` says that this is the
    last line that is kept.
    """

    elapsed_s: float
    level: str
    message: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class SolveReport:
    """How a solve ended; the solution was checked, the bound is one of the full problem."""

    solution_status: SolutionStatus
    stop_reason: StopReason
    elapsed_s: float
    solution: dict[str, Any] | None = None
    cost: int | None = None
    lower_bound: int | None = None
    infeasibility: dict[str, Any] | None = None
    statistics: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def gap(self) -> float | None:
        return relative_gap(self.cost, self.lower_bound)


class SolverCrashed(Exception):
    """The solver's process ended by itself; the message (part of a sentence) says how, for people.

    `best` is the last progress before that, None where there was none.
    """

    def __init__(self, reason: str, best: Progress | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.best = best


class SolverFault(Exception):
    """The solver raised, or broke its contract (a wrong solution, a false claim): an error of ours.

    The message is fit for the public; `details` (a traceback) is for the log.
    """

    def __init__(self, message: str, details: str = "", best: Progress | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.best = best


def log_line_bytes(message: str) -> int:
    """What a line counts: its text, and what it takes to keep a line at all."""
    return len(message.encode()) + _LINE_BYTES


def as_json(data: object) -> bytes:
    return orjson.dumps(data)


def frame_head(kind: Kind, size: int) -> bytes:
    return FRAME_HEAD.pack(kind.value, size)


def send_frame(channel: socket.socket, kind: Kind, body: bytes = b"") -> None:
    """Send a whole frame over a blocking socket; only one thread at a time."""
    channel.sendall(frame_head(kind, len(body)) + body)


def receive_frame(channel: socket.socket) -> tuple[Kind, bytes]:
    """Receive a whole frame from a blocking socket; raise EOFError when the peer is gone."""
    kind, size = FRAME_HEAD.unpack(_receive_exactly(channel, FRAME_HEAD.size))
    return Kind(kind), bytes(_receive_exactly(channel, size))


def _receive_exactly(channel: socket.socket, size: int) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    while filled < size:
        received = channel.recv_into(view[filled:])
        if received == 0:
            raise EOFError
        filled += received
    return buffer

"""How much slower than it could be this machine is: now, and at every moment since a test began.

Others come and go while a test waits, and a machine may stand still for a second. So a process of
its own looks all the time; run as a program this module is that process.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["crowding", "observed"]

_WORK_S = 0.02
_LOOK_S = 0.01
_LOOK_EVERY_S = 0.2
_LOOK = struct.Struct("dd")  # when it was begun, and how much slower than it could be it was
_STDIN, _STDOUT = 0, 1

_looks: int | None = None
"""The file with what the process saw until now, while there is one."""


@contextmanager
def observed() -> Iterator[None]:
    """Look at the machine for as long as this lasts."""
    global _looks
    with tempfile.TemporaryFile() as looks:
        observer = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=looks)
        _looks = looks.fileno()
        try:
            yield
        finally:
            _looks = None
            observer.communicate(timeout=10)
            assert observer.returncode == 0


def crowding(since: float | None = None) -> float:
    """How many times longer computing takes now than on an idle machine; at least 1.

    With a moment of `time.monotonic` it is what it was between then and now, on average, or what it
    is now if that is more.
    """
    factors = [] if _looks is None or since is None else _factors(_looks, since)
    now = _work(time.monotonic(), _WORK_S)
    return max(1.0, now, sum(factors) / max(1, len(factors)))


def _factors(looks: int, since: float) -> list[float]:
    written = os.pread(looks, os.fstat(looks).st_size, 0)
    whole = len(written) - len(written) % _LOOK.size
    return [factor for begun, factor in _LOOK.iter_unpack(written[:whole]) if begun >= since]


def _work(begun: float, work_s: float) -> float:
    """Compute that long; how many times longer it took since it was to begin."""
    enough = time.thread_time() + work_s
    while time.thread_time() < enough:
        pass
    return (time.monotonic() - begun) / work_s


def _observe() -> None:
    """Look until nobody wants to know any more."""
    due = time.monotonic()
    while not select.select([_STDIN], [], [], max(0.0, due - time.monotonic()))[0]:
        os.write(_STDOUT, _LOOK.pack(due, _work(due, _LOOK_S)))
        due = max(due + _LOOK_EVERY_S, time.monotonic())


if __name__ == "__main__":
    _observe()

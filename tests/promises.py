"""Promises about time, judged also on a machine that others use.

"A cancel takes less than a second" is said of a machine with room for us. Where several processes
share a core everything takes as many times longer, and so much longer a test waits: not more, and
on a quiet machine not at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.crowding import crowding

__all__ = ["overdue", "promised"]


def overdue(since: float, seconds: float) -> bool:
    """Whether what was to come that many seconds after `since` (of `time.monotonic`) is late."""
    waited_s = time.monotonic() - since
    return waited_s > seconds and waited_s > seconds * crowding(since)


@contextmanager
def promised(seconds: float, *, after_s: float = 0.0) -> Iterator[None]:
    """The block takes less than this many seconds of a machine that is not crowded.

    `after_s`: a time limit or delay that is to pass first, however fast the machine is.
    """
    before, began = crowding(), time.monotonic()
    yield
    took_s = time.monotonic() - began
    crowded = max(before, crowding(began))
    said = f"{took_s:.2f} s, on a machine {crowded:.1f} times as slow as it could be"
    assert took_s < after_s + seconds * crowded, said

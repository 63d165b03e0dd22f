"""What happens where there is no more of something: for a moment, and for this process alone."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["files_of_at_most", "no_more_files", "no_more_threads"]

_MORE_THAN_ALL_ADDRESSES = 2**47


@contextmanager
def no_more_files() -> Iterator[None]:
    """Nothing can be opened: no file, no socket, no pipe (EMFILE)."""
    next_one = os.dup(0)
    os.close(next_one)
    # Not 0: what is open is to work as before, and poll() is not asked of more than the limit.
    with _limited(resource.RLIMIT_NOFILE, next_one):
        yield


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Writing more than that into one file fails, as on a disk that is full (EFBIG)."""
    with _limited(resource.RLIMIT_FSIZE, size_bytes):
        yield


@contextmanager
def no_more_threads() -> Iterator[None]:
    """No thread can be started: none would find room for its stack."""
    before = threading.stack_size(_MORE_THAN_ALL_ADDRESSES)
    try:
        yield
    finally:
        threading.stack_size(before)


@contextmanager
def _limited(kind: int, most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))

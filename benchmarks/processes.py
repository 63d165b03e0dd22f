"""The processes of the service that a benchmark started, and making them stand still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

__all__ = ["our_up", "redis_of", "sleeping", "workers_of"]


def our_up() -> psutil.Process:
    """The supervisor that this process started."""
    return next(p for p in psutil.Process().children() if "up" in p.cmdline())


def workers_of(up: psutil.Process) -> list[psutil.Process]:
    return [process for process in up.children(recursive=True) if "worker" in process.cmdline()]


def redis_of(up: psutil.Process) -> list[psutil.Process]:
    return [p for p in up.children(recursive=True) if "valkey" in p.cmdline()[0]]


@contextmanager
def sleeping(processes: list[psutil.Process]) -> Iterator[None]:
    """Processes stand still."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()

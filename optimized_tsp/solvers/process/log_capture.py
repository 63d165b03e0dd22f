"""What a solver says through `logging`, on its way to the log of its job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from optimized_tsp.solvers.process.messages import LOG_BYTES, Kind, log_line_bytes

__all__ = ["captured_log"]

_MOST_CHARS = 4_000
_CUT = " … (cut)"


@contextmanager
def captured_log(
    send: Callable[[Kind, dict[str, Any]], None], *, started_at: float
) -> Generator[None]:
    """Send every record of level INFO or above as a frame, until the block ends.

    `started_at` is when the solve began (monotonic clock, seconds). After `LOG_BYTES` one frame
    says that the rest is missing: a solver that talks without end holds up nobody.
    """
    root, capture = logging.getLogger(), _Capture(send, started_at)
    level = root.level
    root.setLevel(logging.INFO)
    root.addHandler(capture)
    try:
        yield
    finally:
        root.removeHandler(capture)
        root.setLevel(level)
        capture.end()


class _Capture(logging.Handler):
    """Called by one thread at a time: `logging` sees to that."""

    def __init__(self, send: Callable[[Kind, dict[str, Any]], None], started_at: float) -> None:
        super().__init__(logging.INFO)
        self._send = send
        self._started_at = started_at
        self._left = LOG_BYTES

    def emit(self, record: logging.LogRecord) -> None:
        if self._left <= 0:
            return
        try:
            message = _text(self.format(record))
        except Exception:  # noqa: BLE001 - a wrong format string of a solver must not end its solve
            self.handleError(record)
            return
        self._left -= log_line_bytes(message)
        line = {
            "elapsed_s": time.monotonic() - self._started_at,
            "level": record.levelname.lower(),
            "message": message,
            "truncated": self._left <= 0,
        }
        self._send(Kind.LOG, line)

    def end(self) -> None:
        """Wait for a line another thread is sending, and send no more: the answer comes next."""
        self.acquire()
        self._left = 0
        self.release()
        self.close()


def _text(message: str) -> str:
    """What a UTF-8 database can hold, of bounded length."""
    if len(message) > _MOST_CHARS:
        message = message[: _MOST_CHARS - len(_CUT)] + _CUT
    return message.replace("\0", "").encode("utf-8", "replace").decode()

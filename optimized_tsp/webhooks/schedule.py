"""When a delivery is tried again, and when an endpoint is left alone for a while."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["FAILURES_UNTIL_PAUSED", "Schedule", "retry_after_s"]

FAILURES_UNTIL_PAUSED = 5
"""Failures in a row after which an endpoint is asked by one delivery at a time, with pauses."""

_LONGEST_PAUSE_S = 60.0
_LONGEST_RETRY_AFTER_S = 24 * 3600.0
_JITTER = 0.2


def _vary() -> float:
    return random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, hides nothing


@dataclass(frozen=True, slots=True)
class Schedule:
    """Delays in seconds between attempts; there is one attempt more than there are delays."""

    delays_s: tuple[float, ...]
    vary: Callable[[], float] = _vary
    """A factor for each delay: what failed together need not come back together."""

    @property
    def total_s(self) -> float:
        """From the first attempt to the last, in seconds, without what receivers ask for."""
        return sum(self.delays_s)

    def next_attempt_s(self, attempts: int, *, retry_after_s: float = 0.0) -> float | None:
        """How long to wait after the `attempts`-th attempt failed, None when it was the last.

        Never shorter than the receiver asked for.
        """
        if attempts > len(self.delays_s):
            return None
        return max(retry_after_s, self.delays_s[attempts - 1] * self.vary())

    def pause_s(self, failures: int) -> float:
        """How long an endpoint is left alone after so many failures in a row, 0 while they are few.

        The first pauses are as long as the first delays of the schedule, none above a minute: an
        endpoint that is back gets what it is owed soon after.
        """
        pauses = failures - FAILURES_UNTIL_PAUSED
        if pauses < 0:
            return 0.0
        longest = self.delays_s[min(pauses, len(self.delays_s) - 1)] if self.delays_s else 1.0
        return min(_LONGEST_PAUSE_S, longest) * self.vary()


def retry_after_s(header: str | None, now: datetime | None = None) -> float:
    """Seconds a receiver asks to wait (RFC 9110, 10.2.3: a number or a date), at most a day.

    0 when there is no such header, or none that can be understood.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year, or a time zone, that no number of C's can hold
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wait_s = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(0.0, wait_s), _LONGEST_RETRY_AFTER_S)

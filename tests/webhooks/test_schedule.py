"""When a delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from optimized_tsp.core.config import Settings
from optimized_tsp.webhooks.schedule import FAILURES_UNTIL_PAUSED, Schedule, retry_after_s

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
STEADY = Schedule(Settings().webhook_retry_delays_s, vary=lambda: 1.0)


def test_the_schedule_is_the_one_of_the_specification() -> None:
    waits = [STEADY.next_attempt_s(attempts) for attempts in range(1, 11)]

    seconds, minutes, hours = 1, 60, 3600
    assert waits == [
        5 * seconds, 5 * minutes, 30 * minutes, 2 * hours, 5 * hours, 10 * hours, 14 * hours,
        20 * hours, 24 * hours, None,
    ]  # fmt: skip
    assert 3 <= STEADY.total_s / (24 * hours) < 3.5


def test_every_wait_varies_by_up_to_a_fifth() -> None:
    waits = [Schedule((100.0,)).next_attempt_s(1) for _ in range(500)]

    assert all(wait is not None and 80 <= wait <= 120 for wait in waits)
    assert len(set(waits)) > 400


def test_a_receiver_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() -> None:
    assert STEADY.next_attempt_s(1, retry_after_s=60) == 60
    assert STEADY.next_attempt_s(2, retry_after_s=60) == 300
    assert STEADY.next_attempt_s(10, retry_after_s=60) is None


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("\u0663", 0),
        ("99999999999999999999999999", 24 * 3600),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        ("Sun, 22 Nov 2026 06:01:00 -0000", 60),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=30), usegmt=True), 24 * 3600),
        ("Sun, 99 Nov 2026 06:01:00 GMT", 0),
        ("Sun, 22 Nov 99999999 06:01:00 GMT", 0),
        ("Sun, 22 Nov 99999999999999999999 06:01:00 GMT", 0),
        ("Sun, 22 Nov 2026 06:01:00 +99999999999999999999", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_bounded(header: str | None, wait_s: float) -> None:
    assert retry_after_s(header, NOW) == wait_s


def test_an_endpoint_is_paused_after_some_failures_and_never_for_long() -> None:
    pauses = [STEADY.pause_s(failures) for failures in range(1, FAILURES_UNTIL_PAUSED + 4)]

    assert pauses == [0, 0, 0, 0, 5, 60, 60, 60]
    assert STEADY.pause_s(1_000_000) == 60


def test_without_retries_there_is_one_attempt() -> None:
    once = Schedule((), vary=lambda: 1.0)
    assert once.next_attempt_s(1) is None
    assert once.pause_s(FAILURES_UNTIL_PAUSED) == 1.0

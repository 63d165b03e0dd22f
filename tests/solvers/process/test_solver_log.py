"""What a solver says through `logging` reaches whoever runs it, in order and bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest

from optimized_tsp.solvers.process import LOG_BYTES, SolverCrashed, log_line_bytes
from tests.solvers.process.conftest import Attempt


async def test_records_arrive_with_level_and_time_between_the_runner_s_own(
    attempt: Attempt,
) -> None:
    await attempt.solve("talk")

    assert [(line.level, line.message) for line in attempt.said] == [
        ("info", "looking at 3 numbers"),
        ("warning", "odd ? characters: \u2211, \U0001f600"),
        ("info", "Better solution: cost 7, lower bound 2, gap 71.4 %"),
        ("info", "done"),
    ]
    times = [line.elapsed_s for line in attempt.said]
    assert times[0] >= 0
    assert all(earlier <= later for earlier, later in pairwise(times))


async def test_a_solver_that_talks_without_end_is_cut_and_solves_on(attempt: Attempt) -> None:
    report = await attempt.solve("talk_without_end")

    assert report.cost == 7
    assert [line.truncated for line in attempt.said].count(True) == 1
    assert attempt.said[-1].truncated
    total = sum(log_line_bytes(line.message) for line in attempt.said)
    assert LOG_BYTES <= total <= LOG_BYTES + 5_000
    assert max(len(line.message) for line in attempt.said) <= 4_000


async def test_after_it_the_next_solve_has_a_log_of_its_own(attempt: Attempt) -> None:
    await attempt.solve("talk_without_end")
    attempt.said.clear()
    await attempt.solve("talk")

    assert attempt.said[0].message == "looking at 3 numbers"
    assert attempt.said[-1].message == "done"


async def test_what_was_said_before_a_crash_arrives(attempt: Attempt) -> None:
    with pytest.raises(SolverCrashed):
        await attempt.solve("segfault")

    assert [line.message for line in attempt.said] == [
        "Better solution: cost 8, lower bound 1, gap 87.5 %"
    ]

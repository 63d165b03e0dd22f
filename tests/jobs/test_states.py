"""The table of states: what it allows is done, everything else is refused."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.states import ACTIVE, TERMINAL, TRANSITIONS, ForbiddenTransition, JobStatus
from optimized_tsp.jobs.transitions import change_status

ALL_PAIRS = list(itertools.product(JobStatus, JobStatus))


@pytest.mark.parametrize(("source", "target"), ALL_PAIRS)
def test_a_job_moves_only_along_the_table(source: JobStatus, target: JobStatus) -> None:
    job = Job(status=source.value)
    if (source, target) in TRANSITIONS:
        change_status(job, target)
        assert job.status == target
    else:
        with pytest.raises(ForbiddenTransition):
            change_status(job, target)
        assert job.status == source


def test_terminal_states_are_final_and_every_state_can_be_left_or_is_terminal() -> None:
    sources = {source for source, _ in TRANSITIONS}
    assert sources == ACTIVE
    assert set(JobStatus) == ACTIVE | TERMINAL


def test_the_drawn_states_are_the_real_ones() -> None:
    drawing = Path(__file__).parents[2] / "docs" / "job-states.md"
    arrows = re.findall(r"^\s*(\w+) --> (\w+)", drawing.read_text(encoding="utf-8"), re.MULTILINE)
    drawn = {arrow for arrow in arrows if set(arrow) <= {status.value for status in JobStatus}}
    assert drawn == {(source.value, target.value) for source, target in TRANSITIONS}

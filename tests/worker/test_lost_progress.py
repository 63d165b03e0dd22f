"""At most a second of progress is lost on any kill: what the solver found, and what is kept."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from sqlalchemy import select

from optimized_tsp.core.database import Database
from optimized_tsp.embedded.process import Process
from optimized_tsp.jobs.models import LogLine
from tests.crowding import crowding
from tests.stack import RunningStack
from tests.worker.conftest import Story, Submit, Until, below, restart, tell
from tests.worker.test_kills import gone, solver_child, wait_gone

LOST_AT_MOST_S = 1.0
ENOUGH = 30
"""Solutions found before a kill: over a second of them."""


def notes_of(path: Path) -> list[tuple[float, int]]:
    """When the solver found which cost; the last line may be half written."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    noted = [line.split() for line in lines if line.endswith("\n")]
    return [(float(at), int(cost)) for at, cost in noted]


def kept_cost(story: Story) -> int:
    """The best that the first run left to the next."""
    costs, starts = [], 0
    for event in story.events:
        starts += event.type == "job.started"
        if event.type == "job.incumbent" and starts == 1:
            costs.append(int(event.data["cost"]))
    return min(costs)


async def logged_cost(db: Database, job: UUID) -> int:
    """The best that the log of the first run tells of."""
    query = select(LogLine.message).where(LogLine.job_id == job, LogLine.attempt == 1)
    async with db.read() as session:
        said = (await session.scalars(query.order_by(LogLine.line))).all()
    costs = [re.match(r"Better solution: cost (\d+)", message) for message in said]
    return min(int(cost[1]) for cost in costs if cost)


def lost_s(notes: list[tuple[float, int]], killed_at: float, kept: int) -> float:
    """Seconds of improvements before the kill that nobody will ever see."""
    found_at = next(at for at, cost in notes if cost == kept)
    last_at = max(at for at, _ in notes if at <= killed_at)
    return max(0.0, last_at - found_at)


def kill_child(worker: Process) -> None:
    solver_child(worker).kill()


def kill_worker(worker: Process) -> None:
    psutil.Process(worker.pid).kill()


def kill_group(worker: Process) -> None:
    for process in [*below(worker), psutil.Process(worker.pid)]:
        process.kill()


async def improving(job_notes: Path) -> None:
    async with asyncio.timeout(90):
        while len(notes_of(job_notes)) < ENOUGH:  # noqa: ASYNC110 - another process writes them
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kill", [kill_child, kill_worker, kill_group])
async def test_at_most_a_second_of_progress_is_lost_with_a_kill(
    fleet: RunningStack,
    submit: Submit,
    until: Until,
    db: Database,
    tmp_path: Path,
    kill: Callable[[Process], None],
) -> None:
    worker, notes, begun = fleet.start_worker(), tmp_path / "notes", time.monotonic()
    job = await submit("descend_noting", gate=notes)
    await improving(notes)

    killed_at = time.time()
    kill(worker)
    if kill is not kill_child:
        fleet.start_worker()
    story = await until(job, lambda story: story.types.count("started") == 2)

    for kept in (kept_cost(story), await logged_cost(db, job)):
        assert lost_s(notes_of(notes), killed_at, kept) <= LOST_AT_MOST_S * crowding(begun)


async def test_at_most_a_second_is_lost_when_postgres_and_the_worker_die_together(
    fleet: RunningStack, submit: Submit, db: Database, postgres: Process, tmp_path: Path
) -> None:
    worker, notes, begun = fleet.start_worker(), tmp_path / "notes", time.monotonic()
    job = await submit("descend_noting", gate=notes)
    await improving(notes)
    all_of_it = [*below(worker), psutil.Process(worker.pid)]

    killed_at = time.time()
    postgres.kill()
    kill_group(worker)
    await wait_gone(all_of_it, within_s=3)
    restart(postgres)

    lost = lost_s(notes_of(notes), killed_at, kept_cost(await tell(db, job)))
    assert lost <= LOST_AT_MOST_S * crowding(begun)


async def test_nothing_is_lost_when_postgres_alone_restarts(
    fleet: RunningStack,
    submit: Submit,
    until: Until,
    until_ended: Until,
    cancel: Until,
    postgres: Process,
    tmp_path: Path,
) -> None:
    worker, notes = fleet.start_worker(), tmp_path / "notes"
    job = await submit("descend_noting", gate=notes)
    await improving(notes)

    postgres.kill()
    restart(postgres)
    found_until_then = notes_of(notes)[-1][1]
    await until(job, lambda story: story.cost is not None and story.cost <= found_until_then)
    await cancel(job)
    story = await until_ended(job)

    assert not gone(psutil.Process(worker.pid))
    assert (story.job.attempt, story.job.crashes) == (1, 0)
    assert story.cost == notes_of(notes)[-1][1]

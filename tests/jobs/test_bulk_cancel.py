"""All waiting jobs of a caller are cancelled together: each ends as if alone, only sooner."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs import outcomes, service
from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.states import JobStatus
from tests.jobs.conftest import Submit
from tests.jobs.test_leases import TOUR, claim, event_types, job_row, solution_row

MINE = Scope(DEFAULT_TENANT_ID)


async def cancel_waiting(db: Database, scope: Scope = MINE) -> list[UUID]:
    async with db.write() as session:
        return await service.cancel_waiting(session, scope)


async def last_event(db: Database, job_id: UUID) -> dict[str, Any]:
    async with db.read() as session:
        query = text("SELECT data FROM events WHERE job_id = :id ORDER BY seq DESC LIMIT 1")
        data: dict[str, Any] = await session.scalar(query, {"id": job_id})
        return data


async def test_all_that_wait_end_and_those_that_run_go_on(db: Database, submit: Submit) -> None:
    # Given a job that runs, one that was given back with a tour, and one that nobody took yet
    running = await submit()
    await claim(db)
    resumed = await submit()
    run = await claim(db)
    async with db.write() as session:
        await outcomes.save_progress(session, run, Progress(TOUR, 5, 0.1))
    async with db.write() as session:
        await outcomes.give_back(session, run)
    fresh = await submit()

    assert await cancel_waiting(db, Scope(new_id())) == []
    assert await cancel_waiting(db) == [resumed, fresh]
    assert await cancel_waiting(db) == []

    assert (await job_row(db, running)).status == JobStatus.RUNNING
    for job_id, status, cost in ((resumed, "feasible", 6), (fresh, "unknown", None)):
        job, solution = await job_row(db, job_id), await solution_row(db, job_id)
        assert (job.status, job.solution_status) == (JobStatus.CANCELLED, status)
        assert job.cancel_requested_at is not None
        assert job.completed_at is not None
        assert (solution.cost, solution.final) == (cost, True)
        assert solution.wall_time_s == job.run_time_s
        assert (await event_types(db, job_id))[-1] == EventType.CANCELLED
        assert (await last_event(db, job_id))["cost"] == cost


async def test_the_last_event_is_that_of_a_job_cancelled_alone(
    db: Database, submit: Submit
) -> None:
    alone, together = await submit(), await submit()
    async with db.write() as session:
        await service.cancel_job(session, MINE, alone)
    assert await cancel_waiting(db) == [together]
    assert await last_event(db, together) == await last_event(db, alone)


@pytest.mark.parametrize("number", [2, 40])
async def test_more_jobs_take_no_more_statements(db: Database, submit: Submit, number: int) -> None:
    jobs = [await submit() for _ in range(number)]
    statements: list[str] = []
    event.listen(
        db.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )

    assert await cancel_waiting(db) == jobs

    assert len(statements) <= 8, statements


async def test_a_long_queue_is_cancelled_in_transactions_of_bounded_size(
    db: Database, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CANCELLED_AT_ONCE", 3)
    jobs = [await submit() for _ in range(7)]
    assert await cancel_waiting(db) == jobs[:3]
    assert await cancel_waiting(db) == jobs[3:6]
    assert await cancel_waiting(db) == jobs[6:]

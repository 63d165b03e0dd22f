"""A cancel that arrives while a run ends for another reason is obeyed, not forgotten."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs import outcomes
from optimized_tsp.jobs.states import JobStatus
from tests.jobs.conftest import Submit
from tests.jobs.test_leases import claim, event_types, job_row


async def ask_to_cancel(db: Database, job_id: UUID) -> None:
    async with db.write() as session:
        await session.execute(
            text("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id"), {"id": job_id}
        )


async def test_a_job_to_be_cancelled_is_not_given_back(db: Database, submit: Submit) -> None:
    job_id = await submit()
    claimed = await claim(db)
    await ask_to_cancel(db, job_id)

    async with db.write() as session:
        assert await outcomes.give_back(session, claimed) is JobStatus.CANCELLED

    assert (await job_row(db, job_id)).status == JobStatus.CANCELLED
    assert (await event_types(db, job_id))[-1] == EventType.CANCELLED


async def test_a_job_to_be_cancelled_is_not_run_again_after_a_crash(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    claimed = await claim(db)
    await ask_to_cancel(db, job_id)

    async with db.write() as session:
        status = await outcomes.record_crash(session, claimed, reason="SIGSEGV", elapsed_s=1)

    assert status is JobStatus.CANCELLED
    job = await job_row(db, job_id)
    assert (job.status, job.crashes, job.error) == (JobStatus.CANCELLED, 1, None)
    assert (await event_types(db, job_id))[-1] == EventType.CANCELLED

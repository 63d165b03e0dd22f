"""Jobs that are taken from workers that are gone: when, and what becomes of them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from optimized_tsp.core.context import Origin, coming_from
from optimized_tsp.core.database import Database
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs import leases, outcomes
from optimized_tsp.jobs.outcomes import Progress, Rescued, rescue_expired
from optimized_tsp.jobs.states import MAX_CRASHES, MAX_LOST_CLAIMS, JobStatus
from tests.jobs.conftest import Submit
from tests.jobs.test_leases import (
    TOUR,
    claim,
    event_types,
    expire_lease,
    job_row,
    rescue,
    solution_row,
)


async def test_a_lease_is_rescued_only_after_it_ran_out(db: Database, submit: Submit) -> None:
    job_id = await submit()
    await claim(db)

    assert await rescue(db) == []
    await expire_lease(db, job_id)
    assert await rescue(db) == [(job_id, JobStatus.SUBMITTED)]


async def test_a_run_that_never_gave_a_sign_of_life_is_no_crash_and_costs_the_job_nothing(
    db: Database, submit: Submit
) -> None:
    job_id = await submit(timeout_s=10)
    for _ in range(MAX_CRASHES + 1):
        lost = await claim(db)
        await expire_lease(db, job_id)
        assert await rescue(db) == [(job_id, JobStatus.SUBMITTED)]

    again = await claim(db)

    assert (again.attempt, again.remaining_s) == (1, 10)
    assert (await job_row(db, job_id)).crashes == 0
    assert again.fence == lost.fence + 1


async def test_what_a_run_stores_is_a_sign_of_life(db: Database, submit: Submit) -> None:
    job_id = await submit()
    claimed = await claim(db)
    async with db.write() as session:
        await outcomes.save_progress(session, claimed, Progress(TOUR, None, 0.01))
    await expire_lease(db, job_id)
    await rescue(db)

    job = await job_row(db, job_id)
    assert (job.attempt, job.crashes) == (1, 1)


async def test_a_job_whose_workers_are_always_lost_before_a_sign_of_life_is_failed_in_the_end(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    fates = []
    while JobStatus.FAILED not in fates:
        await claim(db)
        await expire_lease(db, job_id)
        fates += [status for _, status in await rescue(db)]

    assert len(fates) == MAX_LOST_CLAIMS + MAX_CRASHES
    job = await job_row(db, job_id)
    assert (job.crashes, job.attempt) == (MAX_CRASHES, MAX_CRASHES)
    assert "3 crashes" in (job.error or "")


async def test_a_run_is_charged_from_its_beginning_whenever_it_says_so(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    claimed = await claim(db)
    for heard_s_ago in (7.0, 12.0):
        heard = replace(claimed, heard_at=time.monotonic() - heard_s_ago)
        async with db.write() as session:
            await leases.renew(session, heard, lease_s=15)
    await expire_lease(db, job_id)
    await rescue(db)

    assert (await claim(db)).used_s == pytest.approx(7, abs=1)


async def test_a_cancelled_job_whose_run_never_began_is_cancelled_by_the_rescue(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    await claim(db)
    async with db.write() as session:
        await session.execute(text("UPDATE jobs SET cancel_requested_at = now()"))
    await expire_lease(db, job_id)

    assert await rescue(db) == [(job_id, JobStatus.CANCELLED)]
    assert (await job_row(db, job_id)).crashes == 0


async def test_a_rescued_job_resumes_from_its_best_solution_with_the_time_that_is_left(
    db: Database, submit: Submit
) -> None:
    job_id = await submit(timeout_s=60)
    first = await claim(db)
    async with db.write() as session:
        await outcomes.save_progress(session, first, Progress(TOUR, 4, 1))
    async with db.write() as session:
        await session.execute(
            text(
                "UPDATE jobs SET run_started_at = now() - interval '40 s', "
                "lease_until = now() - interval '10 s' WHERE id = :id"
            ),
            {"id": job_id},
        )
    await rescue(db)

    second = await claim(db)

    assert second.start == TOUR
    assert second.attempt == 2
    assert second.used_s == pytest.approx(30, abs=0.01)
    assert second.remaining_s == pytest.approx(30, abs=0.01)


async def test_at_least_a_second_is_always_left(db: Database, submit: Submit) -> None:
    job_id = await submit(timeout_s=5)
    await claim(db)
    async with db.write() as session:
        await session.execute(
            text("UPDATE jobs SET run_started_at = now() - interval '1 h' WHERE id = :id"),
            {"id": job_id},
        )
    await expire_lease(db, job_id)
    await rescue(db)

    assert (await claim(db)).remaining_s == 1.0


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_job_ended_by_the_rescue_is_charged_for_its_last_run(
    db: Database, submit: Submit, *, cancelled: bool
) -> None:
    job_id = await submit()
    await claim(db)
    async with db.write() as session:
        await session.execute(
            text(
                "UPDATE jobs SET crashes = :crashes, run_time_s = 5,"
                " run_started_at = now() - interval '40 s', lease_until = now() - interval '10 s',"
                " cancel_requested_at = CASE WHEN :cancelled THEN now() END"
            ),
            {"crashes": MAX_CRASHES - 1, "cancelled": cancelled},
        )

    ((_, status),) = await rescue(db)

    assert status is (JobStatus.CANCELLED if cancelled else JobStatus.FAILED)
    assert (await solution_row(db, job_id)).wall_time_s == pytest.approx(35, abs=0.01)
    assert (await job_row(db, job_id)).run_time_s == pytest.approx(35, abs=0.01)


async def test_a_cancel_nobody_is_left_to_obey_is_finished_by_the_rescue(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    claimed = await claim(db)
    async with db.write() as session:
        await outcomes.save_progress(session, claimed, Progress(TOUR, None, 0.1))
    async with db.write() as session:
        await session.execute(text("UPDATE jobs SET cancel_requested_at = now()"))
    await expire_lease(db, job_id)

    assert await rescue(db) == [(job_id, JobStatus.CANCELLED)]

    job = await job_row(db, job_id)
    assert (job.solution_status, job.stop_reason) == ("feasible", "cancelled")
    assert (await solution_row(db, job_id)).final
    assert (await event_types(db, job_id))[-1] == EventType.CANCELLED


async def test_a_rescue_names_the_request_that_the_job_came_with(
    db: Database, submit: Submit
) -> None:
    with coming_from(Origin("the-request")):
        job_id = await submit()
    await claim(db)
    await expire_lease(db, job_id)

    async with db.write() as session:
        rescued = await rescue_expired(session)

    assert rescued == [Rescued(job_id, JobStatus.SUBMITTED, "the-request")]


async def test_a_run_that_is_given_back_before_it_said_that_it_began_is_charged_all_the_same(
    db: Database, submit: Submit
) -> None:
    await submit()
    claimed = replace(await claim(db), heard_at=time.monotonic() - 5)

    async with db.write() as session:
        await outcomes.give_back(session, claimed)

    assert (await claim(db)).used_s == pytest.approx(5, abs=1)

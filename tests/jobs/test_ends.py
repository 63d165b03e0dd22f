"""The end of a run in one round trip, and the claim that goes with it."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs import leases, outcomes
from optimized_tsp.jobs.answers import Ended, finish, finish_and_claim
from optimized_tsp.jobs.leases import Claimant, LeaseLost
from optimized_tsp.jobs.logs import NewLine, append_lines
from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.jobs.states import JobStatus
from tests.jobs.conftest import Submit
from tests.jobs.test_leases import (
    TOUR,
    answer,
    claim,
    event_types,
    expire_lease,
    job_row,
    rescue,
    solution_row,
)

ME = Claimant("w1", lease_s=15)


async def facts(db: Database, job_id: UUID) -> list[object]:
    """What is stored of a job's end, but for times and ids."""
    async with db.read() as session:
        rows = await session.execute(
            text(
                """
                SELECT to_jsonb(jobs) - ARRAY['id', 'submitted_at', 'started_at', 'completed_at',
                                              'run_time_s'],
                       to_jsonb(solutions) - '{job_id,updated_at}'::text[],
                       (SELECT jsonb_agg(data ORDER BY seq) FROM events WHERE job_id = jobs.id),
                       (SELECT jsonb_agg(to_jsonb(points) - '{id,job_id,at}'::text[] ORDER BY id)
                        FROM incumbents AS points WHERE job_id = jobs.id),
                       (SELECT jsonb_agg(message ORDER BY line) FROM job_logs
                        WHERE job_id = jobs.id),
                       run_time_s BETWEEN 0 AND 60, completed_at >= started_at
                FROM jobs JOIN solutions ON job_id = jobs.id WHERE jobs.id = :id
                """
            ),
            {"id": job_id},
        )
        return list(rows.one())


async def test_both_ways_of_ending_a_job_store_the_same(db: Database, submit: Submit) -> None:
    one, other = await submit(), await submit()
    first, said = Progress(TOUR, 3, 0.1), [NewLine(0.2, "info", "done")]

    claimed = await claim(db)
    async with db.write() as session:
        await finish(session, claimed, answer(), first=first, log=said)
    ended = await finish_and_claim(db, await claim(db), answer(), first=first, log=said)

    assert ended == Ended(JobStatus.COMPLETED, None)
    assert await facts(db, other) == await facts(db, one)
    assert (await event_types(db, other))[2:] == [EventType.INCUMBENT, EventType.COMPLETED]


async def test_the_end_its_answer_and_its_event_are_one_transaction(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()

    await finish_and_claim(db, await claim(db), answer(), first=Progress(TOUR, 3, 0.1))

    async with db.read() as session:
        query = text(
            "SELECT jobs.xmin = solutions.xmin AS answered, events.xmin = jobs.xmin AS told"
            " FROM jobs JOIN solutions ON job_id = jobs.id JOIN events ON events.job_id = jobs.id"
            " WHERE jobs.id = :id ORDER BY seq DESC LIMIT 1"
        )
        row = (await session.execute(query, {"id": job_id})).one()
    assert (row.answered, row.told) == (True, True)


async def test_the_next_job_is_claimed_with_the_end(db: Database, submit: Submit) -> None:
    one, other = await submit(), await submit()

    ended = await finish_and_claim(db, await claim(db), answer(), claimant=ME)

    assert ended is not None
    assert ended.following is not None
    assert (ended.following.job_id, ended.following.instance) == (
        other,
        b'{"matrix":[[null,1,9],[9,null,2],[3,9,null]]}',
    )
    assert (await job_row(db, one)).status == JobStatus.COMPLETED
    assert await event_types(db, other) == [EventType.SUBMITTED, EventType.STARTED]
    # And the last one claims nothing
    assert await finish_and_claim(db, ended.following, answer(), claimant=ME) == Ended(
        JobStatus.COMPLETED, None
    )
    assert (await event_types(db, other))[-1] == EventType.COMPLETED


async def test_nothing_is_done_where_the_run_has_stored_something(
    db: Database, submit: Submit
) -> None:
    progressed, talked, waiting = [await submit() for _ in range(3)]
    claims = [await claim(db), await claim(db)]
    async with db.write() as session:
        await outcomes.save_progress(session, claims[0], Progress(TOUR, None, 0.1))
        await append_lines(session, claims[1], [NewLine(0.1, "info", "hello")], after=0)

    for claimed in claims:
        assert await finish_and_claim(db, claimed, answer(), claimant=ME) is None

    for job_id in (progressed, talked):
        assert (await job_row(db, job_id)).status == JobStatus.RUNNING
    assert (await job_row(db, waiting)).status == JobStatus.SUBMITTED
    # The way that looks first goes
    for claimed in claims:
        async with db.write() as session:
            await finish(session, claimed, answer())
    assert (await solution_row(db, progressed)).final


async def test_nor_where_an_earlier_run_did_or_the_lease_is_lost(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    zombie = await claim(db)
    async with db.write() as session:
        await outcomes.save_progress(session, zombie, Progress(TOUR, None, 0.1))
    await expire_lease(db, job_id)
    await rescue(db)

    assert await finish_and_claim(db, zombie, answer(), claimant=ME) is None
    fresh = await claim(db, worker="fresh")
    assert await finish_and_claim(db, fresh, answer(), claimant=ME) is None

    assert (await job_row(db, job_id)).status == JobStatus.RUNNING


async def test_a_run_whose_claim_was_undone_by_a_crash_of_postgres_writes_nothing(
    db: Database, submit: Submit
) -> None:
    """Claims do not wait for the disk; the next claim then raises the fence to the same number."""
    job_id = await submit()
    undone = await claim(db, worker="before the crash")
    async with db.write() as session:  # what a crash does to a claim that was not on disk yet
        await session.execute(text("DELETE FROM events WHERE seq = 2"))
        await session.execute(
            text(
                "UPDATE jobs SET status = 'Submitted', fence = 0, attempt = 0, last_seq = 1,"
                " leased_by = NULL, lease_until = NULL, run_started_at = NULL, started_at = NULL"
            )
        )
    again = await claim(db, worker="after it")
    assert again.fence == undone.fence

    assert await finish_and_claim(db, undone, answer(), claimant=ME) is None
    async with db.write() as session:
        with pytest.raises(LeaseLost):
            await finish(session, undone, answer())
        with pytest.raises(LeaseLost):
            await leases.renew(session, undone, lease_s=60)

    assert await finish_and_claim(db, again, answer()) == Ended(JobStatus.COMPLETED, None)
    assert await event_types(db, job_id) == [
        EventType.SUBMITTED,
        EventType.STARTED,
        EventType.COMPLETED,
    ]

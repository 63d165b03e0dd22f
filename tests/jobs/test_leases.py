"""Claim, lease, fence: what keeps a job from being lost or done twice."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from optimized_tsp.core.database import Database
from optimized_tsp.events.types import TERMINAL_EVENTS, EventType
from optimized_tsp.jobs import answers, leases, outcomes
from optimized_tsp.jobs.answers import Answer
from optimized_tsp.jobs.leases import Claim, LeaseLost
from optimized_tsp.jobs.models import Incumbent, Job, Solution
from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.jobs.states import MAX_CRASHES, JobStatus
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from tests.jobs.conftest import Submit

TOUR = {"node_order": [0, 1, 2], "cost": 6}
WORSE_TOUR = {"node_order": [0, 2, 1], "cost": 27}


async def claim(db: Database, worker: str = "w1", lease_s: float = 15) -> Claim:
    claimed = await leases.claim_next(db, worker=worker, lease_s=lease_s)
    assert claimed is not None
    return claimed


async def begin(db: Database, claimed: Claim) -> None:
    """The sign of life that a run gives soon after its claim."""
    async with db.write() as session:
        await leases.renew(session, claimed, lease_s=15)


async def job_row(db: Database, job_id: UUID) -> Job:
    async with db.read() as session:
        return (await session.scalars(select(Job).where(Job.id == job_id))).one()


async def solution_row(db: Database, job_id: UUID) -> Solution:
    async with db.read() as session:
        return (await session.scalars(select(Solution).where(Solution.job_id == job_id))).one()


async def event_types(db: Database, job_id: UUID) -> list[str]:
    """Types in order of `seq`; fails unless seq is 1..n with a terminal event only at the end."""
    async with db.read() as session:
        rows = (
            await session.execute(
                text("SELECT seq, type FROM events WHERE job_id = :id ORDER BY seq"), {"id": job_id}
            )
        ).all()
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    terminal = [row.seq for row in rows if row.type in TERMINAL_EVENTS]
    assert terminal in ([], [len(rows)])
    return [row.type for row in rows]


async def expire_lease(db: Database, job_id: UUID) -> None:
    async with db.write() as session:
        await session.execute(
            text("UPDATE jobs SET lease_until = now() - interval '1 ms' WHERE id = :id"),
            {"id": job_id},
        )


async def rescue(db: Database) -> list[tuple[UUID, JobStatus]]:
    async with db.write() as session:
        return [(job_id, status) for job_id, status, _ in await outcomes.rescue_expired(session)]


def answer(**changes: Any) -> Answer:
    given: dict[str, Any] = {
        "solution_status": SolutionStatus.OPTIMAL,
        "stop_reason": StopReason.PROVEN,
        "solution": TOUR,
        "lower_bound": 6,
        "infeasibility": None,
        "statistics": {"method": "test"},
        "elapsed_s": 0.5,
    }
    return Answer(**(given | changes))


async def test_a_claim_takes_the_oldest_waiting_job_and_tells_of_it(
    db: Database, submit: Submit
) -> None:
    first, second = await submit(), await submit()

    claimed = await claim(db)

    assert claimed.job_id == first
    assert (claimed.attempt, claimed.fence) == (1, 1)
    assert claimed.remaining_s == 60
    assert (await job_row(db, first)).status == JobStatus.RUNNING
    assert (await job_row(db, second)).status == JobStatus.SUBMITTED
    assert await event_types(db, first) == [EventType.SUBMITTED, EventType.STARTED]


async def test_many_workers_claiming_at_once_never_share_a_job(
    db: Database, submit: Submit
) -> None:
    submitted = {await submit() for _ in range(8)}

    claims = await asyncio.gather(*(claim(db, worker=f"w{i}") for i in range(8)))

    assert {claimed.job_id for claimed in claims} == submitted


async def test_nothing_waits_nothing_is_claimed(db: Database) -> None:
    assert await leases.claim_next(db, worker="w", lease_s=15) is None


async def test_a_job_of_an_unknown_solver_is_left_for_a_worker_that_knows_it(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()

    other = await leases.claim_next(
        db, worker="old", lease_s=15, solvers=[("tsp", "v0"), ("knapsack", "v1")]
    )

    assert other is None
    assert (await claim(db)).job_id == job_id


async def test_finishing_stores_the_answer_and_the_terminal_event_together(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    claimed = await claim(db)

    async with db.write() as session:
        await answers.finish(session, claimed, answer())

    job, solution = await job_row(db, job_id), await solution_row(db, job_id)
    assert job.status == JobStatus.COMPLETED
    assert (job.solution_status, job.stop_reason) == ("optimal", "proven")
    assert job.completed_at is not None
    assert job.lease_until is None
    assert (solution.cost, solution.lower_bound, solution.gap) == (6, 6, 0.0)
    assert solution.node_order == [0, 1, 2]
    assert solution.final
    types = await event_types(db, job_id)
    assert types[-1] == EventType.COMPLETED
    assert job.last_seq == len(types)


async def test_progress_is_kept_only_when_it_is_progress(db: Database, submit: Submit) -> None:
    job_id = await submit()
    claimed = await claim(db)

    async def report(solution: dict[str, Any] | None, bound: int | None) -> bool:
        async with db.write() as session:
            return await outcomes.save_progress(session, claimed, Progress(solution, bound, 0.1))

    assert await report(TOUR, None)
    assert not await report(WORSE_TOUR, None)
    assert await report(None, 5)
    assert not await report(None, 4)

    assert await event_types(db, job_id) == [
        EventType.SUBMITTED,
        EventType.STARTED,
        EventType.INCUMBENT,
        EventType.BOUND,
    ]
    async with db.read() as session:
        curve = (await session.scalars(select(Incumbent).order_by(Incumbent.id))).all()
    assert [(point.cost, point.lower_bound) for point in curve] == [(6, None), (6, 5)]


async def test_an_answer_worse_than_the_last_incumbent_does_not_replace_it(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    claimed = await claim(db)
    async with db.write() as session:
        await outcomes.save_progress(session, claimed, Progress(TOUR, None, 0.1))

    async with db.write() as session:
        await answers.finish(
            session,
            claimed,
            answer(
                solution=WORSE_TOUR,
                lower_bound=3,
                solution_status=SolutionStatus.FEASIBLE,
                stop_reason=StopReason.TIME_LIMIT,
            ),
        )

    solution = await solution_row(db, job_id)
    assert (solution.cost, solution.node_order, solution.lower_bound) == (6, [0, 1, 2], 3)
    assert (await job_row(db, job_id)).solution_status == "feasible"


async def test_no_solution_in_time_is_a_failure_that_says_so(db: Database, submit: Submit) -> None:
    job_id = await submit()
    claimed = await claim(db)

    async with db.write() as session:
        await answers.finish(
            session,
            claimed,
            answer(
                solution=None,
                lower_bound=None,
                solution_status=SolutionStatus.UNKNOWN,
                stop_reason=StopReason.TIME_LIMIT,
            ),
        )

    job = await job_row(db, job_id)
    assert (job.status, job.solution_status) == (JobStatus.FAILED, "unknown")
    assert job.error == answers.NO_SOLUTION_IN_TIME


async def test_a_worker_that_lost_its_lease_can_write_nothing(db: Database, submit: Submit) -> None:
    job_id = await submit()
    zombie = await claim(db, worker="zombie")
    await begin(db, zombie)
    await expire_lease(db, job_id)
    await rescue(db)
    fresh = await claim(db, worker="fresh")
    assert fresh.fence > zombie.fence

    for write in (
        lambda session: leases.renew(session, zombie, lease_s=15),
        lambda session: outcomes.save_progress(session, zombie, Progress(TOUR, None, 1)),
        lambda session: answers.finish(session, zombie, answer()),
        lambda session: outcomes.fail(session, zombie, error="no", elapsed_s=1),
        lambda session: outcomes.record_crash(session, zombie, reason="no", elapsed_s=1),
        lambda session: outcomes.give_back(session, zombie),
    ):
        with pytest.raises(LeaseLost):
            async with db.write() as session:
                await write(session)

    async with db.read() as reading:
        with pytest.raises(LeaseLost):
            await leases.stop_requested(reading, zombie)
    job = await job_row(db, job_id)
    assert (job.status, job.leased_by, job.crashes) == (JobStatus.RUNNING, "fresh", 1)


async def test_a_time_limit_below_a_second_is_kept(db: Database, submit: Submit) -> None:
    await submit(timeout_s=0.2)
    assert (await claim(db)).remaining_s == 0.2


async def test_too_many_crashes_fail_the_job_and_keep_its_best_solution(
    db: Database, submit: Submit
) -> None:
    job_id = await submit()
    for crash in range(MAX_CRASHES):
        claimed = await claim(db)
        if crash == 0:
            async with db.write() as session:
                await outcomes.save_progress(session, claimed, Progress(TOUR, None, 0.1))
        async with db.write() as session:
            await outcomes.record_crash(session, claimed, reason="killed by SIGSEGV", elapsed_s=1)

    job = await job_row(db, job_id)
    assert (job.status, job.crashes, job.attempt) == (JobStatus.FAILED, MAX_CRASHES, MAX_CRASHES)
    assert job.error == "Given up after 3 crashes; the last one: killed by SIGSEGV."
    assert (await solution_row(db, job_id)).cost == 6
    assert (await event_types(db, job_id))[-1] == EventType.FAILED


async def test_giving_back_is_no_attempt(db: Database, submit: Submit) -> None:
    job_id = await submit()
    claimed = await claim(db)

    async with db.write() as session:
        await outcomes.give_back(session, claimed)

    job = await job_row(db, job_id)
    assert (job.status, job.attempt, job.crashes) == (JobStatus.SUBMITTED, 0, 0)
    assert (await claim(db)).attempt == 1

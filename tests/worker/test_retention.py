"""Retention removes what the settings say, in steps, and nothing that reporting needs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.errors import Gone
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.events.log import sequence
from optimized_tsp.jobs import answers, leases, outcomes
from optimized_tsp.jobs.answers import Answer
from optimized_tsp.jobs.logs import NewLine, append_lines, find_log
from optimized_tsp.jobs.models import Instance, Job, LogLine, Solution
from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.jobs.repository import Scope, find_instance
from optimized_tsp.jobs.retention import prune_instances
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.worker import retention
from optimized_tsp.worker.retention import AT_ONCE, prune
from tests.worker.conftest import Submit

SCOPE = Scope(DEFAULT_TENANT_ID)
KEEP = Settings(keep_events_days=7, keep_logs_days=7, keep_payloads_days=7, keep_deliveries_days=7)
FOR_EVER = Settings(
    keep_events_days=0, keep_logs_days=0, keep_payloads_days=0, keep_deliveries_days=0
)


async def ended(db: Database, submit: Submit, *, size: int, days_ago: int = 0) -> UUID:
    """A job that was solved, with events, two lines of log, a curve and a solution."""
    job = await submit("prove", size=size, ring=False)
    claim = await leases.claim_next(db, worker="test", lease_s=60, solvers=[("odd", "v1")])
    assert claim is not None
    assert claim.job_id == job
    solution = {"cost": 7, "numbers": [7] + [0] * (size - 1)}
    async with db.write() as session:
        await append_lines(
            session, claim, [NewLine(0.1, "info", "one"), NewLine(0.2, "info", "two")], after=0
        )
        await outcomes.save_progress(session, claim, Progress(solution, 3, 0.1))
    answer = Answer(
        SolutionStatus.FEASIBLE, StopReason.TIME_LIMIT, solution, 3, None, None, elapsed_s=0.2
    )
    async with db.write() as session:
        await answers.finish(session, claim, answer)
    await sequence(db)
    if days_ago:
        await make_older(db, job, timedelta(days=days_ago))
    return job


async def make_older(db: Database, job: UUID, age: timedelta) -> None:
    async with db.write() as session:
        for statement in (
            "UPDATE events SET at = at - CAST(:age AS interval) WHERE job_id = :job",
            "UPDATE job_logs SET at = at - CAST(:age AS interval) WHERE job_id = :job",
            """UPDATE solutions SET updated_at = updated_at - CAST(:age AS interval)
            WHERE job_id = :job""",
            """UPDATE jobs SET submitted_at = submitted_at - CAST(:age AS interval),
            completed_at = completed_at - CAST(:age AS interval) WHERE id = :job""",
            """UPDATE instances SET created_at = created_at - CAST(:age AS interval)
            WHERE digest = (SELECT instance_digest FROM jobs WHERE id = :job)""",
        ):
            await session.execute(text(statement), {"age": age, "job": job})


async def report(db: Database) -> list[tuple[object, ...]]:
    async with db.read() as session:
        rows = await session.execute(
            text(
                "SELECT task_id, status, num_nodes, instance_bytes, cost, lower_bound, gap,"
                " solve_s, (SELECT count(*) FROM incumbents WHERE job_id = task_id)"
                " FROM reporting.jobs ORDER BY task_id"
            )
        )
        return [tuple(row) for row in rows]


async def test_what_is_old_goes_what_is_young_stays_and_reporting_keeps_its_facts(
    db: Database, submit: Submit
) -> None:
    old = await ended(db, submit, size=3, days_ago=8)
    young = await ended(db, submit, size=4, days_ago=6)
    before = await report(db)

    await prune(db, FOR_EVER)
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(LogLine)) == 4
    await prune(db, KEEP)

    async with db.read() as session:
        lines = list(await session.scalars(select(LogLine.job_id).distinct()))
        events = list(await session.scalars(text("SELECT DISTINCT job_id FROM events")))
        gone = await session.get(Solution, old)
        kept = await session.get(Solution, young)
        assert (await find_log(session, SCOPE, young, after=0, limit=10)).complete
        with pytest.raises(Gone) as log:
            await find_log(session, SCOPE, old, after=0, limit=10)
        with pytest.raises(Gone):
            await find_instance(session, SCOPE, old)
        assert await find_instance(session, SCOPE, young)
    assert (lines, events) == ([young], [young])
    assert log.value.extensions() == {"oldest": 2}
    assert gone is not None
    assert (gone.cost, gone.lower_bound, gone.payload) == (7, 3, None)
    assert kept is not None
    assert kept.payload == {"numbers": [7, 0, 0, 0]}
    assert await report(db) == before
    assert len(before) == 2


async def test_an_instance_is_kept_for_as_long_as_one_of_its_jobs_is_young_or_waits(
    db: Database, submit: Submit
) -> None:
    first = await ended(db, submit, size=3, days_ago=8)
    waiting = await submit("prove", size=3, ring=False)
    await prune(db, KEEP)
    async with db.read() as session:
        assert await find_instance(session, SCOPE, first)
    # and it goes with the last of them
    async with db.write() as session:
        await session.execute(
            update(Job)
            .where(Job.id == waiting)
            .values(status="Cancelled", completed_at=func.now() - timedelta(days=8))
        )
    await prune(db, KEEP)
    async with db.read() as session:
        with pytest.raises(Gone):
            await find_instance(session, SCOPE, first)


async def test_submitting_a_pruned_instance_brings_it_back(db: Database, submit: Submit) -> None:
    old = await ended(db, submit, size=3, days_ago=8)
    await prune(db, KEEP)
    again = await submit("prove", size=3, ring=False)
    async with db.read() as session:
        assert await find_instance(session, SCOPE, again) == b'{"size":3}'
        assert await find_instance(session, SCOPE, old) == b'{"size":3}'


async def test_a_submission_and_a_pruning_at_the_same_time_lose_nothing(
    db: Database, submit: Submit
) -> None:
    # Given a pruning of an instance that is not committed yet
    await ended(db, submit, size=3, days_ago=8)
    async with db.write() as pruning:
        assert await prune_instances(pruning, keep=timedelta(days=7), limit=AT_ONCE) == 1
        # When the same instance is submitted, the submission waits for it
        submitting = asyncio.ensure_future(submit("prove", size=3, ring=False))
        async with asyncio.timeout(10):
            while not await somebody_waits(db):  # noqa: ASYNC110 - nothing tells when it does
                await asyncio.sleep(0.01)
    # Then the job has its instance
    async with db.read() as session:
        assert await find_instance(session, SCOPE, await submitting) == b'{"size":3}'
        assert await session.scalar(select(func.count()).select_from(Instance)) == 1


async def somebody_waits(db: Database) -> bool:
    async with db.read() as session:
        found = await session.scalar(
            text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
        )
        return bool(found)


async def test_very_much_of_one_thing_makes_no_other_wait_for_a_later_round(
    db: Database, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job with more lines of log than a round has time for
    monkeypatch.setattr(retention, "_LONGEST_S", 0.0)
    job = await ended(db, submit, size=3)
    await many_lines(db, job, 2 * AT_ONCE)
    await make_older(db, job, timedelta(days=8))
    # When a round is over, then some of them are left, and of what comes behind them nothing is
    await prune(db, KEEP)
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(LogLine)) == AT_ONCE + 2
        solution = await session.get(Solution, job)
        assert solution is not None
        assert solution.payload is None
        with pytest.raises(Gone):
            await find_instance(session, SCOPE, job)


async def many_lines(db: Database, job: UUID, count: int) -> None:
    """So many lines of log more, from the third on, all of them old."""
    async with db.write() as session:
        await session.execute(
            text(
                "INSERT INTO job_logs (job_id, line, attempt, elapsed_s, level, message, at)"
                " SELECT :job, n, 1, 1, 'info', 'x', now() - interval '8 days'"
                " FROM generate_series(3, :last) AS n"
            ),
            {"job": job, "last": count + 2},
        )


async def test_much_goes_in_steps(db: Database, submit: Submit) -> None:
    job = await ended(db, submit, size=3)
    await many_lines(db, job, 2 * AT_ONCE + 10)
    await prune(db, KEEP)
    async with db.read() as session:
        assert await session.scalar(select(func.max(LogLine.line))) == 2


async def test_idempotency_keys_are_forgotten_after_a_day_whatever_the_settings_say(
    db: Database, submit: Submit
) -> None:
    job = await submit("prove", ring=False)
    async with db.write() as session:
        await session.execute(
            text(
                "INSERT INTO idempotency_keys"
                " (tenant_id, solver, version, key, body_hash, job_id, created_at)"
                " SELECT :tenant, 'odd', 'v1', kind || n, '', :job, now() - CAST(age AS interval)"
                " FROM generate_series(1, :many) AS n,"
                " (VALUES ('old', '1441 min'), ('young', '1439 min')) AS kinds (kind, age)"
                " WHERE kind = 'old' OR n = 1"
            ),
            {"tenant": DEFAULT_TENANT_ID, "job": job, "many": 2 * AT_ONCE + 10},
        )
    await prune(db, FOR_EVER)
    async with db.read() as session:
        left = await session.scalars(text("SELECT key FROM idempotency_keys"))
        assert left.all() == ["young1"]

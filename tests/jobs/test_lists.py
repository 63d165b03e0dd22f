"""Lists of jobs: every filter, alone and with others, against picking from all jobs one by one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.jobs.lists import Filters, list_jobs
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.schemas import JobView
from optimized_tsp.jobs.states import JobStatus
from tests.jobs.conftest import Submit
from tests.stack import TestDatabase
from tests.test_migrations import CONFIG

SCOPE = Scope(DEFAULT_TENANT_ID, "tsp", "v1")
STATUSES = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)

_FILL = text(
    """
    INSERT INTO jobs (id, tenant_id, solver, version, status, tags, name, parameters, timeout_s,
                      instance_digest, submitted_at, completed_at)
    SELECT new.id, job.tenant_id, job.solver, job.version, new.status, new.tags, new.name,
           job.parameters, job.timeout_s, job.instance_digest,
           job.submitted_at - new.minutes_ago * interval '1 minute', now()
    FROM (SELECT * FROM jobs LIMIT 1) AS job, jsonb_to_recordset(CAST(:new AS jsonb)) AS new (
        id uuid, status text, tags jsonb, name text, minutes_ago integer)
    """
)

_MANY = text(
    """
    INSERT INTO jobs (id, tenant_id, solver, version, status, tags, parameters, timeout_s,
                      instance_digest, submitted_at, completed_at)
    SELECT gen_random_uuid(), job.tenant_id, job.solver, job.version, 'Completed',
           CASE WHEN n < 3000 THEN '{"team": "us", "batch": "old"}'::jsonb
                ELSE '{"team": "us"}' END,
           job.parameters, job.timeout_s, job.instance_digest,
           job.submitted_at - (8000 - n) * interval '1 minute', now()
    FROM (SELECT * FROM jobs LIMIT 1) AS job, generate_series(1, 8000) AS n
    """
)
_JOBS_READ = text(
    "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'jobs'"
)


def any_job(source: random.Random) -> dict[str, Any]:
    return {
        "id": str(new_id()),
        "status": source.choices(STATUSES, (8, 1, 1))[0].value,
        "name": source.choice([None, "nightly", "weekly"]),
        "minutes_ago": source.randrange(60),  # several of each minute
        "tags": {key: source.choice(["a", "b"]) for key in "uvwx" if source.random() < 0.7},
    }


@pytest.fixture
async def jobs(db: Database, submit: Submit) -> list[JobView]:
    """Jobs of all kinds, newest first; the first of them waits."""
    await submit()
    source = random.Random(7)
    rows = [any_job(source) for _ in range(150)]
    async with db.write() as session:
        await session.execute(_FILL, {"new": orjson.dumps(rows).decode()})
    return await list_jobs(db, Places(db), SCOPE, Filters(), before=None, limit=200)


def any_filters(source: random.Random, jobs: list[JobView]) -> Filters:
    """Some of the filters, with values that some jobs have."""

    def maybe(value: Any) -> Any:
        return value if source.random() < 0.4 else None

    one, other = source.choice(jobs), source.choice(jobs)
    return Filters(
        statuses=maybe(source.choice([[one.status], [one.status, other.status]])) or (),
        submitted_after=maybe(one.submitted_at - timedelta(minutes=20)),
        submitted_before=maybe(other.submitted_at + timedelta(minutes=1)),
        tags=list(one.tags.items())[: source.randrange(4)],
        name=maybe(one.name),
    )


def matching(filters: Filters) -> Callable[[JobView], bool]:
    def matches(job: JobView) -> bool:
        after, before = filters.submitted_after, filters.submitted_before
        return (
            (not filters.statuses or job.status in filters.statuses)
            and (after is None or job.submitted_at > after)
            and (before is None or job.submitted_at < before)
            and set(filters.tags) <= set(job.tags.items())
            and filters.name in (None, job.name)
        )

    return matches


async def in_pages(db: Database, filters: Filters, limit: int) -> list[UUID]:
    """All jobs that match, page by page."""
    seen: list[UUID] = []
    while True:
        before = seen[-1] if seen else None
        page = await list_jobs(db, Places(db), SCOPE, filters, before=before, limit=limit)
        seen += [job.task_id for job in page]
        if len(page) < limit:
            return seen


async def test_a_list_is_all_that_matches_in_order_whatever_the_filters(
    db: Database, jobs: list[JobView]
) -> None:
    assert [job.task_id for job in jobs] == [
        job.task_id for job in sorted(jobs, key=lambda job: (job.submitted_at, job.task_id))[::-1]
    ]
    source = random.Random(11)
    found = 0
    for _ in range(60):
        filters = any_filters(source, jobs)
        expected = [job.task_id for job in filter(matching(filters), jobs)]
        assert await in_pages(db, filters, limit=7) == expected, filters
        found += bool(expected)
    assert found > 30


@pytest.mark.usefixtures("jobs")
async def test_a_list_of_tags_that_no_job_can_have_is_empty(db: Database) -> None:
    many = [(f"tag {number}", "a") for number in range(21)]
    for tags in (many, [("u", "a"), ("u", "b")]):
        assert (
            await list_jobs(db, Places(db), SCOPE, Filters(tags=tags), before=None, limit=51) == []
        )


async def test_a_job_that_was_removed_is_not_listed_by_its_tags_either(
    db: Database, jobs: list[JobView]
) -> None:
    tagged = [job for job in jobs if job.tags.get("u") == "a"]
    async with db.write() as session:
        removal = text("UPDATE jobs SET deleted_at = now() WHERE id = :id")
        await session.execute(removal, {"id": tagged[0].task_id})

    left = await in_pages(db, Filters(tags=[("u", "a")]), limit=200)

    assert left == [job.task_id for job in tagged[1:]]


async def test_two_tags_of_many_jobs_read_few_jobs_without_statistics(
    db: Database, database_url: str, submit: Submit
) -> None:
    await submit()
    async with db.write() as session:
        await session.execute(_MANY)
    both = Filters(tags=[("team", "us"), ("batch", "old")])
    assert len(await list_jobs(db, Places(db), SCOPE, both, before=None, limit=51)) == 51
    await db.close()  # its connections tell what they have read when they end

    other, read = Database(database_url, application_name="tests"), 0
    try:
        async with asyncio.timeout(20):
            while read < 51:
                await asyncio.sleep(0.05)
                ((read,),) = await other.alone(_JOBS_READ, {})
    finally:
        await other.close()
    assert read < 3_000


async def test_jobs_of_before_have_their_tags_after_the_migration(
    database: TestDatabase, jobs: list[JobView]
) -> None:
    def migrate(connection: Connection) -> None:
        CONFIG.attributes["connection"] = connection
        command.downgrade(CONFIG, "0010")
        command.upgrade(CONFIG, "0013")

    every = text("SELECT key, value, submitted_at, job_id FROM job_tags ORDER BY job_id, key")
    engine = create_async_engine(database.owner_url)
    try:
        async with engine.connect() as connection:
            written = (await connection.execute(every)).all()
            await connection.run_sync(migrate)
            filled = (await connection.execute(every)).all()
            await connection.rollback()
    finally:
        await engine.dispose()

    assert filled == written
    assert len(filled) == sum(len(job.tags) for job in jobs)

"""The schema, its roles and its views, as an analyst and a database administrator see them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.jobs import leases
from optimized_tsp.jobs.outcomes import Progress, save_progress
from optimized_tsp.jobs.storing import NewJob, store_job
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.reporting.migrate import run_migrations
from optimized_tsp.solvers.tsp import TspSolver
from tests.stack import TestDatabase

PAGE = (Path(__file__).parents[2] / "docs" / "reporting.md").read_text(encoding="utf-8")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


@pytest.fixture
def submit(database: TestDatabase) -> Callable[[], Awaitable[None]]:
    async def submit() -> None:
        body = {"tsp_instance": {"matrix": [[None, 1], [1, None]]}, "tags": {"team": "north"}}
        db = Database(database.url, application_name="tests")
        async with db.write() as session:
            parsed = parse_submission(TspSolver(), orjson.dumps(body), Settings())
            await store_job(session, NewJob(DEFAULT_TENANT_ID, parsed))
        await db.close()

    return submit


async def test_an_analyst_reads_every_job_as_columns(
    database: TestDatabase, submit: Callable[[], Awaitable[None]]
) -> None:
    await submit()

    async with connected(database.reporting_url) as connection:
        row = (
            await connection.execute(
                text("SELECT * FROM reporting.jobs WHERE tags ->> 'team' = 'north'")
            )
        ).one()

    assert (row.solver, row.version, row.status, row.num_nodes) == ("tsp", "v1", "Submitted", 2)
    assert (row.wait_s, row.cost, row.attempt) == (None, None, 0)


async def test_an_analyst_reads_the_curve_of_every_job(
    database: TestDatabase, submit: Callable[[], Awaitable[None]]
) -> None:
    await submit()
    db = Database(database.url, application_name="tests")
    claim = await leases.claim_next(db, worker="test", lease_s=60)
    assert claim is not None
    better = {"node_order": [0, 1], "cost": 2}
    for progress in (Progress(None, 1, 0.5), Progress(better, None, 0.7)):
        async with db.write() as session:
            assert await save_progress(session, claim, progress)
    await db.close()

    async with connected(database.reporting_url) as connection:
        curve = await connection.execute(
            text(
                "SELECT solver, version, attempt, elapsed_s, curve.cost, curve.lower_bound,"
                " curve.gap, at >= submitted_at FROM reporting.incumbents AS curve"
                " JOIN reporting.jobs USING (task_id, tenant_id, solver, version, attempt)"
                " ORDER BY elapsed_s"
            )
        )
        assert [tuple(row) for row in curve] == [
            ("tsp", "v1", 1, 0.5, None, 1, None, True),
            ("tsp", "v1", 1, 0.7, 2, 1, 0.5, True),
        ]


@pytest.mark.parametrize("view", ["jobs", "incumbents"])
async def test_every_column_of_a_view_is_documented_and_no_other(
    database: TestDatabase, view: str
) -> None:
    section = PAGE.split(f"## `reporting.{view}`")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| ", section, re.MULTILINE)
    async with connected(database.reporting_url) as connection:
        result = await connection.execute(text(f"SELECT * FROM reporting.{view}"))  # noqa: S608
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(result.keys())


async def test_the_example_of_the_page_runs(database: TestDatabase) -> None:
    (example,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    async with connected(database.reporting_url) as connection:
        assert (await connection.execute(text(example))).all() == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM public.jobs",
        "SELECT * FROM public.incumbents",
        "SELECT * FROM public.api_keys",
        "CREATE TABLE reporting.mine (id int)",
        "CREATE TABLE public.mine (id int)",
    ],
)
async def test_an_analyst_reads_the_views_and_nothing_else(
    database: TestDatabase, statement: str
) -> None:
    async with connected(database.reporting_url) as connection:
        # Read only is a default that anybody can lift; the permissions have to hold without it.
        await connection.execute(text("SET default_transaction_read_only = off"))
        await connection.commit()
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement", ["DROP TABLE jobs", "CREATE TABLE mine (id int)", "TRUNCATE jobs"]
)
async def test_the_service_may_not_change_the_schema(
    database: TestDatabase, statement: str
) -> None:
    async with connected(database.url) as connection:
        with pytest.raises(ProgrammingError):
            await connection.execute(text(statement))


async def test_migrating_again_changes_nothing(
    database: TestDatabase, submit: Callable[[], Awaitable[None]]
) -> None:
    async def columns() -> list[Any]:
        async with connected(database.owner_url) as connection:
            rows = await connection.execute(
                text(
                    "SELECT table_schema, table_name, column_name, data_type "
                    "FROM information_schema.columns "
                    "WHERE table_schema IN ('public', 'reporting') ORDER BY 1, 2, 3"
                )
            )
            return [tuple(row) for row in rows]

    await submit()
    before = await columns()

    await run_migrations(database.owner_url)

    assert await columns() == before
    async with connected(database.reporting_url) as connection:
        assert await connection.scalar(text("SELECT count(*) FROM reporting.jobs")) == 1


async def test_every_time_is_a_timestamp_with_zone(database: TestDatabase) -> None:
    async with connected(database.owner_url) as connection:
        naive = await connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND data_type = 'timestamp without time zone'"
            )
        )
        assert naive.all() == []


async def test_a_view_of_somebody_else_on_ours_does_not_stop_a_migration(
    database: TestDatabase,
) -> None:
    async with connected(database.owner_url) as connection:
        await connection.execute(text("CREATE VIEW mine AS SELECT task_id FROM reporting.jobs"))
        await connection.commit()

    await run_migrations(database.owner_url)

    async with connected(database.owner_url) as connection:
        assert (await connection.execute(text("SELECT * FROM mine"))).all() == []


async def test_a_view_with_other_columns_is_made_anew_with_its_grants(
    database: TestDatabase,
) -> None:
    async with connected(database.owner_url) as connection:
        await connection.execute(text("DROP VIEW reporting.jobs"))
        await connection.execute(text("CREATE VIEW reporting.jobs AS SELECT 1 AS other"))
        await connection.commit()

    await run_migrations(database.owner_url)

    async with connected(database.reporting_url) as connection:
        assert (await connection.execute(text("SELECT task_id FROM reporting.jobs"))).all() == []

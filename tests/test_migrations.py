"""Every migration can run while the version before it still serves: what that one uses stays.

An older version itself runs on these tables in `make soak` only (tests/faults/versions.py), as it
takes the history of the checkout. This looks at what an older version relies on: after each step
every column is still there, of the same type, and an INSERT that names only the columns of before
is still accepted. And no migration waits for a lock while it holds others that the service needs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.stack import TestDatabase

CONFIG = Config(Path(__file__).parents[1] / "alembic.ini")
SCRIPTS = ScriptDirectory.from_config(CONFIG)
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]

UNUSED_BEFORE = {"0006": {"webhook_endpoints", "webhook_deliveries"}}
"""Tables that no version had used before the revision that changed them."""

_COLUMNS = text(
    """
    SELECT table_name, column_name, udt_name, is_nullable = 'NO' AS required,
           column_default IS NOT NULL OR is_identity = 'YES' OR is_generated = 'ALWAYS' AS filled
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    """
)

Columns = dict[tuple[str, str], tuple[str, bool]]
"""By table and name: the type, and whether an INSERT has to name it."""


def columns(connection: Connection) -> Columns:
    return {
        (row.table_name, row.column_name): (row.udt_name, row.required and not row.filled)
        for row in connection.execute(_COLUMNS)
    }


def harm(before: Columns, after: Columns, unused: set[str]) -> list[str]:
    """What a version that knows only `before` can no longer do."""
    tables = {table for table, _ in before} - unused
    found = []
    for (table, name), (kind, demanded) in after.items():
        known = before.get((table, name))
        if table in tables and demanded and not (known and known[1]):
            found.append(f"{table}.{name} has to be given now")
        if table in tables and known and known[0] != kind:
            found.append(f"{table}.{name} was {known[0]} and is {kind}")
    gone = [key for key in before if key not in after and key[0] in tables]
    return found + [f"{table}.{name} is gone" for table, name in gone]


def step(connection: Connection, revision: str) -> None:
    """Migrate up or down to a revision."""
    CONFIG.attributes["connection"] = connection
    if revision == "base":
        command.downgrade(CONFIG, revision)
    else:
        command.upgrade(CONFIG, revision)


def test_what_would_harm_is_found() -> None:
    before: Columns = {("jobs", "id"): ("uuid", True), ("jobs", "name"): ("text", False)}

    assert harm(before, {**before, ("jobs", "new"): ("text", False)}, set()) == []
    assert harm(before, {**before, ("jobs", "new"): ("text", True)}, set()) == [
        "jobs.new has to be given now"
    ]
    assert harm(before, {**before, ("jobs", "name"): ("int4", True)}, set()) == [
        "jobs.name has to be given now",
        "jobs.name was text and is int4",
    ]
    assert harm(before, {("jobs", "id"): ("uuid", True)}, set()) == ["jobs.name is gone"]


async def test_each_migration_leaves_the_version_before_it_what_it_needs(
    database: TestDatabase,
) -> None:
    engine = create_async_engine(database.owner_url)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("DROP SCHEMA reporting CASCADE"))
            await connection.run_sync(step, "base")
            assert await connection.run_sync(columns) == {}
            before: Columns = {}
            for revision in REVISIONS:
                await connection.run_sync(step, revision)
                after = await connection.run_sync(columns)
                assert harm(before, after, UNUSED_BEFORE.get(revision, set())) == [], revision
                before = after
            await connection.rollback()
    finally:
        await engine.dispose()


async def until_somebody_waits(engine: AsyncEngine) -> None:
    """Return when a lock of this database is waited for."""
    query = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE NOT granted AND datname = current_database()"
    )
    async with asyncio.timeout(30), engine.connect() as connection:
        while not await connection.scalar(query):
            await connection.rollback()


async def test_migrations_do_not_deadlock_with_who_reads_jobs_and_then_writes_them(
    database: TestDatabase,
) -> None:
    def go_back(connection: Connection) -> None:
        CONFIG.attributes["connection"] = connection
        command.downgrade(CONFIG, "0010")

    engine = create_async_engine(database.owner_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("DROP SCHEMA reporting CASCADE"))
            await connection.run_sync(go_back)
        # Given a worker that has read its job and is going to write it
        async with engine.connect() as migrating:
            async with engine.begin() as worker:
                await worker.execute(text("SELECT FROM jobs FOR UPDATE"))
                # When everything of this version is migrated meanwhile
                migration = asyncio.create_task(migrating.run_sync(step, "head"))
                await until_somebody_waits(engine)
                # Then the worker can, and the migration goes on
                await worker.execute(text("UPDATE jobs SET last_seq = last_seq + 1"))
            await migration
            revision = await migrating.scalar(text("SELECT version_num FROM alembic_version"))
    finally:
        await engine.dispose()

    assert revision == SCRIPTS.get_current_head()


def test_there_is_one_line_of_migrations() -> None:
    assert len(SCRIPTS.get_heads()) == 1

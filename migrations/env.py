"""Alembic's environment: offline SQL, a given connection, or OPTIMIZED_TSP_DATABASE_URL."""

from __future__ import annotations

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

import optimized_tsp.core.api_keys
import optimized_tsp.core.totals
import optimized_tsp.events.models
import optimized_tsp.jobs.idempotency
import optimized_tsp.jobs.models
import optimized_tsp.webhooks.models  # noqa: F401 - imported for their tables
from optimized_tsp.core.database import Base, async_url

# A migration that cannot get its lock gives up instead of holding up the service behind it.
LOCK_TIMEOUT = "5s"


def run(connection: Connection) -> None:
    is_ours = not connection.in_transaction()
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    if is_ours:
        # Each migration is a transaction of its own: the locks of one are not held while the next
        # waits for its own, which deadlocks with whoever reads and then writes.
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    engine = create_async_engine(async_url(os.environ["OPTIMIZED_TSP_DATABASE_URL"]))
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(connect_and_run())

"""The test run's own servers: what every other test stands on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from redis import Redis

from tests.stack import TestDatabase


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_test_has_a_migrated_database_for_itself(database_url: str) -> None:
    async with connected(database_url) as app:
        assert await app.fetchval("SELECT count(*) FROM jobs") == 0


async def test_the_app_may_not_change_the_schema(database_url: str) -> None:
    async with connected(database_url) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("CREATE TABLE extra (id int)")


async def test_reporting_reads_the_views_and_nothing_else(database: TestDatabase) -> None:
    async with connected(database.reporting_url) as reporting:
        assert await reporting.fetchval("SELECT count(*) FROM jobs") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reporting.fetchval("SELECT count(*) FROM public.jobs")


async def test_reporting_cannot_write_even_when_it_asks_to(database: TestDatabase) -> None:
    async with connected(database.reporting_url) as reporting:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await reporting.execute("CREATE TEMPORARY TABLE mine (id int)")
        await reporting.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reporting.execute("CREATE TABLE reporting.mine (id int)")


def test_redis_starts_empty(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        assert redis.dbsize() == 0

"""Which errors pass by themselves: real ones, from a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop
from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.core.outages import is_outage
from optimized_tsp.embedded.identity import free_port


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, application_name="tests")
    yield database
    await database.close()


async def run(db: Database, *statements: str, **parameters: object) -> None:
    async with db.write() as session:
        for statement in statements:
            await session.execute(text(statement), parameters)


async def error_of(db: Database, *statements: str, **parameters: object) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the question
        await run(db, *statements, **parameters)
    return caught.value


async def test_no_server_there_is_an_outage(database_url: str) -> None:
    nobody = Database(
        str(database_url.rpartition("@")[0]) + f"@127.0.0.1:{free_port()}/x",
        application_name="tests",
    )

    assert is_outage(await error_of(nobody, "SELECT 1"))
    await nobody.close()


@pytest.mark.parametrize(
    "statements",
    [
        ["SELECT pg_terminate_backend(pg_backend_pid())"],
        ["SELECT pg_cancel_backend(pg_backend_pid())"],
        ["SET LOCAL statement_timeout = 10", "SELECT pg_sleep(5)"],
    ],
)
async def test_a_session_that_was_ended_from_outside_is_an_outage(
    db: Database, statements: list[str]
) -> None:
    assert is_outage(await error_of(db, *statements))


async def test_a_connection_that_broke_between_two_statements_is_an_outage(db: Database) -> None:
    async def break_between() -> None:
        async with db.write() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            await run(db, "SELECT pg_terminate_backend(:pid)", pid=pid)
            await session.execute(text("SELECT 1"))

    with pytest.raises(Exception) as caught:  # noqa: PT011
        await break_between()

    assert is_outage(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT nonsense",
        "SELECT 1 / 0",
        "INSERT INTO instances (digest) VALUES ('x')",
        "CREATE TABLE not_allowed (id int)",
    ],
)
async def test_a_mistake_of_ours_is_none(db: Database, statement: str) -> None:
    assert not is_outage(await error_of(db, statement))


async def test_a_value_that_fits_no_column_is_none(db: Database) -> None:
    assert not is_outage(await error_of(db, "SELECT CAST(:n AS integer)", n=2**40))


def test_errors_that_know_nothing_of_databases_are_none() -> None:
    assert not is_outage(ValueError("the connection of ideas"))
    assert not is_outage(KeyError("x"))


async def write_to_lost() -> None:
    server = await asyncio.start_server(lambda _, them: them.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.read()
    writer.transport.abort()
    server.close()
    for _ in range(3):  # turns of the loop, which closes both
        await asyncio.sleep(0)
    writer.transport.write(b"?")


def test_writing_to_a_connection_lost_a_moment_ago_is_an_outage(database_url: str) -> None:
    async def read() -> None:
        async with Database(database_url, application_name="tests").read():
            await write_to_lost()

    with pytest.raises(ConnectionResetError, match="lost") as lost:
        uvloop.run(read())
    assert is_outage(lost.value)
    assert lost.value.__cause__ is not None
    assert is_outage(lost.value.__cause__)

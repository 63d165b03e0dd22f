"""Which errors pass by themselves: real ones, from a real Postgres."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidRequestError

from optimized_tsp.core.database import Database
from optimized_tsp.core.lost_connections import is_hung_up
from optimized_tsp.core.outages import is_outage, lost_is_said
from optimized_tsp.embedded.identity import free_port
from tests.webhooks.certificates import Authority, make_authority


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


async def test_a_server_that_is_read_only_for_now_is_an_outage(db: Database) -> None:
    read_only = "SET LOCAL transaction_read_only = on"

    assert is_outage(await error_of(db, read_only, "DELETE FROM idempotency_keys"))


async def test_last_words_of_a_server_taken_for_an_answer_are_an_outage(database_url: str) -> None:
    async with _postgres_without_an_end(database_url) as (url, ended):
        db = Database(url, application_name="tests", pool_size=1)
        killer = Database(database_url, application_name="tests")
        [row] = await db.alone(text("SELECT pg_backend_pid() AS pid"), {})
        await run(killer, "SELECT pg_terminate_backend(:pid)", pid=row.pid)
        await ended.wait()

        with pytest.raises(DBAPIError, match="another operation") as lost:
            await db.alone(text("SELECT 1"), {})

        assert is_outage(lost.value)
        assert len(await db.alone(text("SELECT 1"), {})) == 1
        await killer.close()
        await db.close()


async def test_a_connection_lost_again_as_soon_as_it_is_made_is_an_outage(db: Database) -> None:
    @event.listens_for(db.engine.sync_engine, "checkout")
    def lose(*_: object) -> None:
        raise DisconnectionError

    with pytest.raises(ConnectionResetError, match="lost") as lost:
        await run(db, "SELECT 1")
    assert isinstance(lost.value.__cause__, InvalidRequestError)


async def test_a_connection_lost_while_it_is_prepared_is_an_outage(database_url: str) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.close()

    with pytest.raises(ConnectionResetError, match="lost"), lost_is_said():
        await connection.fetch("SELECT 1")


async def test_errors_that_are_no_loss_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="mine"), lost_is_said():
        raise RuntimeError("mine")


@asynccontextmanager
async def _postgres_without_an_end(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to Postgres on which connections that it closes stay open; says when it closed one."""
    there, ended = make_url(url), asyncio.Event()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection(there.host, there.port)
        with closing(questions), closing(writer):
            asking = asyncio.create_task(pass_on(reader, questions))
            await pass_on(answers, writer)
            ended.set()
            await asking

    connected: list[asyncio.Task[None]] = []
    server = await asyncio.start_server(
        lambda *both: connected.append(asyncio.create_task(connect(*both))), "127.0.0.1", 0
    )
    here = there.set(port=server.sockets[0].getsockname()[1])
    yield here.render_as_string(hide_password=False), ended
    server.close()
    async with asyncio.timeout(10):
        await asyncio.gather(*connected)


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
def test_a_connection_lost_under_tls_is_seen_before_the_driver_is_told(
    loop: Callable[[Coroutine[None, None, None]], None], tmp_path: Path
) -> None:
    loop(_lose_under_tls(make_authority(tmp_path)))


async def _lose_under_tls(authority: Authority) -> None:
    def end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(end, "127.0.0.1", 0, ssl=authority.server("db"))
    trust = ssl.create_default_context(cafile=str(authority.file))
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=trust, server_hostname="db"
    )
    transport: Any = writer.transport
    while not is_hung_up(transport):
        assert not reader.at_eof()
        await asyncio.sleep(0)
    while not reader.at_eof():
        assert is_hung_up(transport)
        await asyncio.sleep(0)
    writer.close()
    server.close()

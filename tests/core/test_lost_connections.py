"""Connections that look alive and are not, through a proxy that makes them so; and slow ones."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import uvloop
from sqlalchemy import make_url, text

from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.outages import is_outage
from tests.faults.proxy import FaultProxy
from tests.promises import promised

NOTICED_S = 3.0
# "BackendKeyData" of Postgres' protocol: the process number, and a secret.
_KEY_DATA = re.compile(rb"(K\0\0\0\x0c).{4}", re.DOTALL)
PID = text("SELECT pg_backend_pid() AS pid")


@pytest.fixture
def proxy(database_url: str) -> Iterator[FaultProxy]:
    port = make_url(database_url).port
    assert port is not None
    proxy = FaultProxy(port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def url(database_url: str, proxy: FaultProxy) -> str:
    """The database by way of the proxy."""
    return re.sub(r":\d+/", f":{proxy.port}/", database_url)


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    database = Database(url, application_name="tests")
    yield database
    await database.close()


async def connected(db: Database, count: int) -> None:
    """Have so many connections in the pool, all of which have just answered."""
    together = asyncio.Barrier(count)

    async def connect() -> None:
        async with db.read() as session:
            await session.execute(PID)
            await together.wait()

    await asyncio.gather(*(connect() for _ in range(count)))


async def read(db: Database) -> None:
    async with db.read() as session:
        await session.execute(PID)


async def write(db: Database) -> None:
    async with db.write() as session:
        await session.execute(PID)


async def alone(db: Database) -> None:
    await db.alone(PID, {})


async def sleep(session: WriteSession, seconds: float) -> float | None:
    """What Postgres answers when it has slept."""
    slept = text("SELECT CAST(:s AS float8) FROM pg_sleep(:s)")
    answer: float | None = await session.scalar(slept, {"s": seconds})
    return answer


@pytest.mark.parametrize("work", [read, write, alone])
@pytest.mark.parametrize("told", [True, False], ids=["a host is gone", "a flow is forgotten"])
async def test_one_statement_on_a_lost_connection_is_enough_to_be_rid_of_them_all(
    db: Database,
    proxy: FaultProxy,
    work: Callable[[Database], Coroutine[None, None, None]],
    told: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await connected(db, 5)
    assert proxy.half_open(server_is_told=told) == 5

    with promised(NOTICED_S), pytest.raises(Exception) as lost:  # noqa: PT011 - which is asked below
        await work(db)

    assert is_outage(lost.value)
    with promised(1.0):
        for _ in range(5):
            await work(db)


async def test_a_transaction_on_a_lost_connection_fails_where_it_is(
    db: Database, proxy: FaultProxy
) -> None:
    async def lose_it_at_commit() -> None:
        async with db.write() as session:
            await session.execute(PID)
            proxy.half_open()

    with promised(NOTICED_S), pytest.raises(Exception) as lost:  # noqa: PT011 - which is asked below
        await lose_it_at_commit()

    assert is_outage(lost.value)


async def test_what_was_lost_while_it_was_idle_is_replaced_unnoticed(
    db: Database, proxy: FaultProxy
) -> None:
    other = Database(db.engine.url.render_as_string(hide_password=False), application_name="tests")
    await connected(db, 3)
    async with other.write() as session:
        await sleep(session, 1.2)
    proxy.half_open(server_is_told=False)

    with promised(NOTICED_S):
        await asyncio.gather(read(db), write(db), alone(db))
    await other.close()


async def test_what_postgres_works_on_may_take_its_time(db: Database) -> None:
    async def wait_for_a_lock() -> None:
        async with db.write() as session:
            await session.execute(text("LOCK TABLE jobs"))

    async with db.write() as idle:
        await idle.execute(text("LOCK TABLE jobs"))
        waiting = asyncio.create_task(wait_for_a_lock())
        async with db.write() as session:
            assert await sleep(session, 4.5) == 4.5
        assert not waiting.done()
        await idle.execute(PID)  # a session may do nothing for as long
    await waiting


async def test_a_network_that_is_slow_loses_nothing(db: Database, proxy: FaultProxy) -> None:
    await connected(db, 2)
    proxy.latency_s = 0.3

    begun = time.monotonic()
    await asyncio.gather(*(write(db) for _ in range(4)))

    assert time.monotonic() - begun > 2.0, "not even asked about"


async def test_a_postgres_that_cannot_be_asked_is_waited_for(
    db: Database, proxy: FaultProxy
) -> None:
    await connected(db, 1)
    proxy.swallow(on=True)
    reading = asyncio.create_task(read(db))

    done, _ = await asyncio.wait([reading], timeout=3.0)
    assert not done
    proxy.swallow(on=False)

    await reading


async def test_process_numbers_of_a_pooler_that_mean_nothing_end_nothing(database_url: str) -> None:
    async with _pooler(database_url) as url:
        db = Database(url, application_name="tests")
        async with db.write() as session:
            assert await sleep(session, 2.5) == 2.5
        await db.close()


@asynccontextmanager
async def _pooler(url: str) -> AsyncIterator[str]:
    """A way to Postgres on which every connection is said to be of process 1."""
    there = make_url(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection(there.host, there.port)
        with closing(questions):
            asking = asyncio.create_task(_pass_on(reader, questions))
            with closing(writer):  # the driver waits for that
                await _pass_on(answers, writer)
            await asking

    served: list[asyncio.Task[None]] = []
    server = await asyncio.start_server(
        lambda *both: served.append(asyncio.create_task(serve(*both))), "127.0.0.1", 0
    )
    here = there.set(port=server.sockets[0].getsockname()[1])
    try:
        yield here.render_as_string(hide_password=False)
    finally:
        server.close()
    async with asyncio.timeout(10):
        await asyncio.gather(*served)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(_KEY_DATA.sub(rb"\g<1>\000\000\000\001", data))


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
def test_lost_connections_keep_nobody_from_leaving(
    url: str, proxy: FaultProxy, loop: Callable[[Coroutine[None, None, None]], None]
) -> None:
    async def leave() -> None:
        db = Database(url, application_name="tests")
        await connected(db, 5)
        proxy.half_open()
        with promised(NOTICED_S):
            await db.close()

    loop(leave())


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
def test_the_system_watches_connections_too(
    database_url: str, loop: Callable[[Coroutine[None, None, None]], None]
) -> None:
    async def look() -> None:
        db = Database(database_url, application_name="tests")
        async with db.engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            peer = driver._transport.get_extra_info("socket")
            assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        await db.close()

    loop(look())

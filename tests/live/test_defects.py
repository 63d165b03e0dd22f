"""What is wrong with us is no outage: it is logged with its traceback, and clients are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from optimized_tsp.core.config import Auth
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.jobs import caller
from optimized_tsp.live import connection
from tests.live.conftest import Jobs, Server, StartServer, client_of, until
from tests.live.test_keys_on_the_feed import header, key_of
from tests.live.test_origin import refused
from tests.stack import Servers, TestDatabase

Without = Callable[[str], AbstractContextManager[None]]
Said = Callable[[], str]


@pytest.fixture
def without(servers: Servers, database: TestDatabase) -> Without:
    """`with without("events"):` nobody finds that table."""

    @contextmanager
    def renamed(table: str) -> Iterator[None]:
        servers.run_sql(f"ALTER TABLE {table} RENAME TO elsewhere", database=database.name)
        try:
            yield
        finally:
            servers.run_sql(f"ALTER TABLE elsewhere RENAME TO {table}", database=database.name)

    return renamed


async def test_a_feed_that_cannot_read_says_why_and_goes_on_when_it_can(
    server: Server, jobs: Jobs, without: Without, said: Said
) -> None:
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        with without("events"):
            await until(lambda: "feed_failed" in said())
            assert "Traceback" in said()
            assert "UndefinedTableError" in said()
        assert "feed_cannot_read" not in said()
        await jobs.happen(job)
        assert await client.seqs(1) == [2]


async def test_a_client_that_cannot_be_served_is_told_that_it_is_our_error(
    server: Server, jobs: Jobs, without: Without, said: Said
) -> None:
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        with without("events"):
            await client.send(type="subscribe", task_id=str(job), after="0")
            assert (await client.closed())[0] == 1011
            status, problem = await refused(server, "/live")
    assert (status, problem["detail"]) == (500, "This is a defect of ours; it was logged.")
    for line in ("live_connection_failed", "unexpected_error", "Traceback"):
        assert line in said()
    # Then whoever comes back gets everything
    async with client_of(server) as client:
        await client.subscribe(task_id=str(job), after="0")
        assert await client.seqs(1) == [1]


async def test_a_key_that_cannot_be_looked_up_for_an_error_of_ours_lets_nobody_stay(
    start_server: StartServer,
    jobs: Jobs,
    without: Without,
    said: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "KEY_CHECK_S", 0.1)
    monkeypatch.setattr(caller, "_REMEMBERED_S", 0.1)
    server, key = start_server(auth=Auth.REQUIRED), await key_of(jobs, DEFAULT_TENANT_ID)
    async with client_of(server, **header(key)) as client:
        await client.subscribe()
        with without("api_keys"):
            assert (await client.closed())[0] == 1011
    assert "Traceback" in said()
    assert "UndefinedTableError" in said()

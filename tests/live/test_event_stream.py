"""Server-sent events, from a server that loses its database under them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx

from tests.live.conftest import DEADLINE_S, Jobs, Server, until
from tests.live.test_delivery import refuse_connections
from tests.stack import Servers, TestDatabase


async def test_a_stream_outlives_a_database_that_is_away(
    server: Server,
    jobs: Jobs,
    servers: Servers,
    database: TestDatabase,
    said: Callable[[], str],
) -> None:
    job = await jobs.submit()
    url = f"http://127.0.0.1:{server.port}/tsp_solver/v1/jobs/{job}/events"
    async with (
        asyncio.timeout(DEADLINE_S),
        httpx.AsyncClient(timeout=DEADLINE_S) as http,
        http.stream("GET", url, headers={"accept": "text/event-stream"}) as response,
    ):
        ids = (line async for line in response.aiter_lines() if line.startswith("id:"))
        assert await anext(ids) == "id: 1"
        refuse_connections(servers, database)
        await until(lambda: "waiters_cannot_look" in said())

        servers.run_sql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        await jobs.happen(job)

        assert await anext(ids) == "id: 2"
        assert "unexpected_error" not in said()

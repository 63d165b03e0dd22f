"""A database that does not answer, but does not refuse either: what waits for it is bounded."""

from __future__ import annotations

import asyncio

import httpx
from sqlalchemy import text

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.jobs.services import Services
from tests.api.conftest import JOBS, TRIANGLE
from tests.promises import promised

WITH_URL = TRIANGLE | {"webhook_url": "https://hooks.example.org/jobs"}


async def until_somebody_waits(database: Database) -> None:
    """Return when a statement waits for the end of another transaction."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(10), database.read() as session:
        while not await session.scalar(query):
            pass


async def test_submissions_are_sent_away_at_once_while_too_much_waits(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"submit_waiting_bytes": 1024}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
        ) as client,
    ):
        services: Services = app.state.services
        async with services.database.write() as session:
            await session.execute(text("LOCK TABLE jobs"))
            first = asyncio.create_task(client.post(JOBS, json=TRIANGLE))
            await until_somebody_waits(services.database)
            with promised(1.0):
                refused = [await client.post(JOBS, json=body) for body in (TRIANGLE, WITH_URL)]

        assert [answer.status_code for answer in refused] == [503, 503]
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
        assert "nothing was stored" in refused[0].json()["detail"]
        assert (await first).status_code == 202
        assert [
            (await client.post(JOBS, json=body)).status_code for body in (TRIANGLE, WITH_URL)
        ] == [202, 202]
        assert len((await client.get(JOBS)).json()) == 3

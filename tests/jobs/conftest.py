"""A database and a way to submit a small job without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import orjson
import pytest

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.storing import NewJob, store_job
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.solvers.tsp import TspSolver

Submit = Callable[..., Awaitable[UUID]]

TRIANGLE = {"matrix": [[None, 1, 9], [9, None, 2], [3, 9, None]]}


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, application_name="tests")
    yield database
    await database.close()


@pytest.fixture
async def places(db: Database) -> AsyncIterator[Places]:
    places = Places(db)
    yield places
    await places.close()


@pytest.fixture
def submit(db: Database) -> Submit:
    async def submit(
        *,
        timeout_s: float = 60.0,
        name: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> UUID:
        body = {
            "name": name,
            "tsp_instance": TRIANGLE,
            "optimization_parameters": {"timeout": timeout_s, **(parameters or {})},
        }
        parsed = parse_submission(TspSolver(), orjson.dumps(body), Settings())
        async with db.write() as session:
            return (await store_job(session, NewJob(DEFAULT_TENANT_ID, parsed))).job_id

    return submit

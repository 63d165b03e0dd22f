"""Where keys are required, the feed shows each tenant its own jobs and nobody else anything."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from optimized_tsp.core.api_keys import create_key
from optimized_tsp.core.config import Auth
from optimized_tsp.core.ids import new_id
from tests.live.conftest import Jobs, Server, StartServer, client_of
from tests.live.test_origin import refused


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(auth=Auth.REQUIRED)


async def header(jobs: Jobs, tenant_id: UUID) -> dict[str, Any]:
    """Options of a client that presents a key of the tenant."""
    async with jobs.database.write() as session:
        _, secret = create_key(session, name="test", tenant_id=tenant_id)
    return {"additional_headers": {"Authorization": f"Bearer {secret}"}}


@pytest.mark.parametrize("path", ["/live", "/tsp_solver/v1/live"])
async def test_with_a_wrong_key_nobody_comes_in(server: Server, path: str) -> None:
    headers = {"Authorization": "Bearer tsp_wrong"}
    status, problem = await refused(server, path, additional_headers=headers)
    assert (status, problem["code"]) == (401, "unauthorized")


async def test_each_tenant_sees_its_own_jobs_only(server: Server, jobs: Jobs) -> None:
    tenant, other = new_id(), new_id()
    theirs = await jobs.submit(other)
    mine = await jobs.submit(tenant)
    async with client_of(server, **await header(jobs, tenant)) as client:
        # By replay and live
        await client.subscribe(after="0")
        assert (await client.event())["task_id"] == str(mine)
        await jobs.happen(theirs)
        await jobs.happen(mine)
        assert (await client.event())["task_id"] == str(mine)
        # and by id
        await client.send(type="subscribe", task_id=str(theirs))
        assert (await client.receive())["error"]["code"] == "unknown_task"

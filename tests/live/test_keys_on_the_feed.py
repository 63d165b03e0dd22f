"""Where keys are required, the feed shows each tenant its own jobs and nobody else anything."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from optimized_tsp.core.api_keys import create_key, revoke_key
from optimized_tsp.core.config import Auth
from optimized_tsp.core.ids import new_id
from optimized_tsp.jobs import caller
from optimized_tsp.live import connection, stream
from tests.live.conftest import SUBMISSION, Client, Jobs, Server, StartServer, client_of, until
from tests.live.test_delivery import refuse_connections
from tests.live.test_origin import refused
from tests.stack import Servers, TestDatabase


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(auth=Auth.REQUIRED)


async def key_of(jobs: Jobs, tenant_id: UUID) -> str:
    """A new key of the tenant."""
    async with jobs.database.write() as session:
        return create_key(session, name="test", tenant_id=tenant_id)[1]


async def revoke(jobs: Jobs, key: str) -> None:
    async with jobs.database.write() as session:
        assert await revoke_key(session, key[5:13])


def header(key: str) -> dict[str, Any]:
    """Options of a client that presents the key in a header."""
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


async def refused_with_4401(client: Client) -> str:
    """Receive the error, the first thing there is to receive, and the end; returns its detail."""
    answer = await client.receive()
    assert (answer["type"], answer["error"]["code"]) == ("error", "unauthorized")
    assert await client.closed() == (4401, "A valid API key is required.")
    return str(answer["error"]["detail"])


@pytest.mark.parametrize("path", ["/live", "/tsp_solver/v1/live"])
async def test_with_a_wrong_key_nobody_comes_in(server: Server, path: str) -> None:
    headers = {"Authorization": "Bearer tsp_wrong"}
    status, problem = await refused(server, path, additional_headers=headers)
    assert (status, problem["code"]) == (401, "unauthorized")


async def test_each_tenant_sees_its_own_jobs_only(server: Server, jobs: Jobs) -> None:
    tenant, other = new_id(), new_id()
    theirs = await jobs.submit(other)
    mine = await jobs.submit(tenant)
    async with client_of(server, **header(await key_of(jobs, tenant))) as client:
        # By replay and live
        await client.subscribe(after="0")
        assert (await client.event())["task_id"] == str(mine)
        await jobs.happen(theirs)
        await jobs.happen(mine)
        assert (await client.event())["task_id"] == str(mine)
        # and by id
        await client.send(type="subscribe", task_id=str(theirs))
        assert (await client.receive())["error"]["code"] == "unknown_task"


async def test_a_browser_presents_its_key_in_the_first_message(server: Server, jobs: Jobs) -> None:
    tenant = new_id()
    await jobs.submit(new_id())
    mine = await jobs.submit(tenant)
    async with client_of(server) as client:
        await client.send(type="auth", key=await key_of(jobs, tenant))
        await client.subscribe(after="0")
        assert (await client.event())["task_id"] == str(mine)
        await jobs.happen(mine)
        assert (await client.event())["seq"] == 2


async def test_who_presents_a_key_and_is_silent_gets_everything_since_then(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FIRST_MESSAGE_S", 1.0)
    tenant = new_id()
    async with client_of(server) as client:
        await client.send(type="auth", key=await key_of(jobs, tenant))
        assert (await client.receive())["type"] == "subscribed"
        mine = await jobs.submit(tenant)
        assert (await client.event())["task_id"] == str(mine)


@pytest.mark.parametrize("kind", ["unknown", "malformed", "revoked"])
async def test_a_wrong_key_in_the_first_message(server: Server, jobs: Jobs, kind: str) -> None:
    key = await key_of(jobs, new_id())
    if kind == "unknown":
        key = key[:5] + "00000000" + key[13:]
    elif kind == "malformed":
        key = "secret"
    else:
        await revoke(jobs, key)
    async with client_of(server) as client:
        await client.send(type="auth", key=key)
        assert "not valid" in await refused_with_4401(client)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "ping"},
        {"type": "subscribe", "after": "0"},
        {"type": "getQueue", "id": 1},
        {"type": "submitJob", "id": 1, "solver": "tsp", "version": "v1", "body": SUBMISSION},
    ],
)
async def test_before_the_key_nothing_is_answered(
    server: Server, jobs: Jobs, message: dict[str, Any]
) -> None:
    await jobs.submit()
    async with client_of(server) as client:
        await client.send(**message)
        assert '"type":"auth"' in await refused_with_4401(client)
    assert server.subscribers == 0


async def test_a_key_that_does_not_come(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "AUTH_S", 0.2)
    async with client_of(server) as client:
        await jobs.submit()
        assert "within 0.2 seconds" in await refused_with_4401(client)


async def test_a_malformed_first_message_is_explained(server: Server) -> None:
    async with client_of(server) as client:
        await client.send(type="auth")
        assert (await client.receive())["error"]["pointer"] == "/key"
        assert (await client.closed())[0] == 4400


async def test_the_key_cannot_be_changed(server: Server, jobs: Jobs) -> None:
    one, other = await key_of(jobs, new_id()), await key_of(jobs, new_id())
    async with client_of(server, **header(one)) as client:
        # The same once more does no harm
        await client.send(type="auth", key=one)
        await client.subscribe()
        await client.send(type="auth", key=other)
        assert (await client.receive())["error"]["code"] == "other_key"
        assert (await client.closed())[0] == 4400


async def test_a_key_where_none_is_needed(start_server: StartServer) -> None:
    async with client_of(start_server()) as client:
        await client.send(type="auth", key="any")
        await client.subscribe()


@pytest.mark.parametrize("by_message", [True, False])
async def test_revoking_a_key_closes_its_connections(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, *, by_message: bool
) -> None:
    monkeypatch.setattr(connection, "KEY_CHECK_S", 0.1)
    monkeypatch.setattr(caller, "_REMEMBERED_S", 0.1)
    tenant = new_id()
    key, other = await key_of(jobs, tenant), await key_of(jobs, tenant)
    options = {} if by_message else header(key)
    async with client_of(server, **options) as client, client_of(server, **header(other)) as stays:
        if by_message:
            await client.send(type="auth", key=key)
        await client.subscribe()
        await stays.subscribe()
        await revoke(jobs, key)
        assert "any more" in await refused_with_4401(client)
        # Others of the same tenant do not notice
        mine = await jobs.submit(tenant)
        assert (await stays.event())["task_id"] == str(mine)
    await until(lambda: server.subscribers == 0)


def test_a_revoked_key_ends_its_connections_within_a_minute() -> None:
    forgotten = connection.KEY_CHECK_S + caller._REMEMBERED_S
    assert forgotten + connection._LAST_WORD_S < 60


async def test_a_database_that_does_not_answer_revokes_nothing(
    server: Server,
    jobs: Jobs,
    servers: Servers,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caller, "_REMEMBERED_S", 0.0)
    monkeypatch.setattr(connection, "KEY_CHECK_S", 0.05)
    tenant = new_id()
    checks: list[str | None] = []
    tenant_of = caller.Authenticator.tenant_of

    async def counted(self: caller.Authenticator, presented: str | None) -> UUID:
        checks.append(presented)
        return await tenant_of(self, presented)

    async with client_of(server, **header(await key_of(jobs, tenant))) as client:
        await client.subscribe()
        refuse_connections(servers, database)
        monkeypatch.setattr(caller.Authenticator, "tenant_of", counted)
        await until(lambda: len(checks) > 3)
        servers.run_sql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        mine = await jobs.submit(tenant)
        assert (await client.event())["task_id"] == str(mine)


async def test_requests_see_the_tenants_jobs_only(server: Server, jobs: Jobs) -> None:
    tenant, other = new_id(), new_id()
    theirs = await jobs.submit(other)
    async with client_of(server, **header(await key_of(jobs, tenant))) as client:
        for kind in ("getJob", "deleteJob"):
            assert (await client.problem(kind, task_id=str(theirs)))[0] == 404
        mine = await client.submit()
        queue = await client.result("getQueue")
        assert (queue["waiting"], queue["running"]) == (1, 0)
        # Only their number is known of other people's jobs
        assert [(job["task_id"], job["queue_position"]) for job in queue["jobs"]] == [(mine, 2)]
        assert await client.result("deleteQueue") == {"cancelled": 1}
    async with client_of(server, **header(await key_of(jobs, other))) as client:
        assert (await client.result("getJob", task_id=str(theirs)))["status"] == "Submitted"
        assert (await client.problem("getJob", task_id=mine))[0] == 404


async def test_tours_of_others_are_not_shown(server: Server, jobs: Jobs) -> None:
    tenant, other = new_id(), new_id()
    theirs, mine = await jobs.submit(other), await jobs.submit(tenant)
    async with client_of(server, **header(await key_of(jobs, tenant))) as client:
        await client.subscribe(tours=True)
        for job in (theirs, mine):
            await jobs.improve(job, cost=7)
            await jobs.finish(job)
        events = await client.events(3)
        assert {event["task_id"] for event in events} == {str(mine)}

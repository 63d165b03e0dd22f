"""What a client asks for under an `id`, and how it is answered."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import func, select, text

from optimized_tsp.core.ids import new_id
from optimized_tsp.jobs.models import Job
from optimized_tsp.live import requests
from tests.live.conftest import DEADLINE_S, SUBMISSION, Jobs, Server, client_of, until
from tests.live.test_delivery import refuse_connections
from tests.stack import Servers, TestDatabase

TSP = {"solver": "tsp", "version": "v1"}


async def by_rest(server: Server, path: str) -> Any:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"http://127.0.0.1:{server.port}{path}")).json()


async def number_of_jobs(jobs: Jobs) -> int:
    async with jobs.database.read() as session:
        return await session.scalar(select(func.count()).select_from(Job)) or 0


async def test_a_job_is_submitted_and_answered_as_by_rest(server: Server) -> None:
    body = {**SUBMISSION, "name": "Zwei Städte", "tags": {"team": "north"}}
    async with client_of(server) as client:
        job = await client.result("submitJob", **TSP, body=body)
        assert (job["name"], job["tags"], job["status"]) == (
            "Zwei Städte",
            {"team": "north"},
            "Submitted",
        )
        path = f"/tsp_solver/v1/jobs/{job['task_id']}"
        assert job | {"progress": 0} == await by_rest(server, path) | {"progress": 0}
        assert await by_rest(server, f"{path}/instance") == SUBMISSION["tsp_instance"]


@pytest.mark.parametrize("named", [{}, TSP, {"version": "v1"}])
async def test_the_solver_is_implied_on_its_own_feed(server: Server, named: dict[str, str]) -> None:
    async with client_of(server, "/tsp_solver/v1/live") as client:
        job = await client.result("submitJob", **named, body=SUBMISSION)
        assert (job["solver"], job["version"]) == ("tsp", "v1")


async def test_another_solver_needs_another_feed(server: Server) -> None:
    async with client_of(server, "/tsp_solver/v1/live") as client:
        problem = await client.problem(
            "submitJob", solver="knapsack", version="v1", body=SUBMISSION
        )
        assert problem == (422, "other_solver", "/solver")


REFUSED: dict[str, tuple[dict[str, Any], tuple[int, str, str]]] = {
    "no solver": ({"body": SUBMISSION}, (422, "missing", "/solver")),
    "no version": ({"solver": "tsp", "body": SUBMISSION}, (422, "missing", "/version")),
    "unknown solver": (
        {"solver": "chess", "version": "v1", "body": SUBMISSION},
        (404, "not-found", ""),
    ),
    "no body": (TSP, (422, "missing", "/body")),
    "body of a wrong type": ({**TSP, "body": "{}"}, (422, "not_an_object", "/body")),
    "empty body": ({**TSP, "body": {}}, (422, "missing", "/body/tsp_instance")),
    "unknown field": (
        {**TSP, "body": SUBMISSION, "priority": 1},
        (422, "extra_forbidden", "/priority"),
    ),
    "invalid instance": (
        {**TSP, "body": {"tsp_instance": {"num_nodes": 2, "edges": [{"source": 0}]}}},
        (422, "missing", "/body/tsp_instance/edges/0/target"),
    ),
    "negative cost": (
        {**TSP, "body": {"tsp_instance": {"matrix": [[None, -1], [1, None]]}}},
        (422, "negative_cost", "/body/tsp_instance/matrix/0/1"),
    ),
}


@pytest.mark.parametrize(("fields", "problem"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_bad_submission_is_explained_and_the_connection_stays(
    server: Server, jobs: Jobs, fields: dict[str, Any], problem: tuple[int, str, str]
) -> None:
    async with client_of(server) as client:
        assert await client.problem("submitJob", **fields) == problem
        assert await number_of_jobs(jobs) == 0
        await client.submit()


@pytest.mark.parametrize("request_id", ["a", "", "ä" * 64, 0, -7, 2**53 - 1])
async def test_the_answer_has_the_id_of_the_request(server: Server, request_id: str | int) -> None:
    async with client_of(server) as client:
        for kind in ("getQueue", "solve", "subscribe"):
            await client.send(type=kind, id=request_id)
            answer = await client.receive()
            assert answer["id"] == request_id
            assert answer["type"] == ("response" if kind == "getQueue" else "error")


@pytest.mark.parametrize(
    "request_id", ["null", "true", "1.0", "[1]", "{}", str(2**53), '"' + "a" * 65 + '"']
)
async def test_a_request_without_a_usable_id_ends_the_connection(
    server: Server, request_id: str
) -> None:
    async with client_of(server) as client:
        await client.socket.send(f'{{"type":"getQueue","id":{request_id}}}')
        answer = await client.receive()
        assert "id" not in answer
        assert (answer["error"]["code"], answer["error"]["pointer"]) == ("malformed_id", "/id")
        assert (await client.closed())[0] == 4400


async def test_a_job_is_shown_and_cancelled(server: Server) -> None:
    async with client_of(server) as client, client_of(server) as other:
        task_id = await client.submit()
        assert (await other.result("getJob", task_id=task_id))["status"] == "Submitted"
        assert (await other.result("deleteJob", task_id=task_id))["status"] == "Cancelled"
        # It is only cancelled, and that can be repeated
        assert (await other.result("deleteJob", task_id=task_id))["status"] == "Cancelled"
        assert (await other.result("getJob", task_id=task_id))["status"] == "Cancelled"


async def test_a_running_job_is_asked_to_stop(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    await jobs.improve(job, cost=7)
    async with client_of(server) as client:
        shown = await client.result("deleteJob", task_id=str(job))
        assert (shown["status"], shown["cancel_requested"]) == ("Running", True)


async def test_the_queue(server: Server, jobs: Jobs) -> None:
    # Given one job that runs and three that wait
    running, *waiting = [await jobs.submit() for _ in range(4)]
    await jobs.improve(running, cost=7)
    async with client_of(server) as client:
        queue = await client.result("getQueue", limit=2)
        assert (queue["waiting"], queue["running"]) == (3, 1)
        assert [(job["task_id"], job["queue_position"]) for job in queue["jobs"]] == [
            (str(waiting[0]), 1),
            (str(waiting[1]), 2),
        ]
        shown = await client.result("getJob", task_id=str(waiting[1]))
        assert queue["jobs"][1].items() <= shown.items()
        # When all that wait are cancelled
        assert await client.result("deleteQueue") == {"cancelled": 3}
        # Then the one that runs goes on
        assert await client.result("getQueue") == {"waiting": 0, "running": 1, "jobs": []}
        assert await client.result("deleteQueue") == {"cancelled": 0}


async def test_on_a_solvers_feed_there_are_its_jobs_only(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with client_of(server, "/knapsack_solver/v1/live") as client:
        for kind in ("getJob", "deleteJob"):
            assert await client.problem(kind, task_id=str(job)) == (404, "not-found", "")
        assert await client.result("getQueue") == {"waiting": 0, "running": 0, "jobs": []}
        assert await client.result("deleteQueue") == {"cancelled": 0}
    async with client_of(server, "/tsp_solver/v1/live") as client:
        assert await client.result("deleteQueue") == {"cancelled": 1}


@pytest.mark.parametrize("kind", ["getJob", "deleteJob"])
async def test_jobs_that_are_none(server: Server, kind: str) -> None:
    async with client_of(server) as client:
        assert await client.problem(kind, task_id=str(new_id())) == (404, "not-found", "")
        assert await client.problem(kind, task_id="7") == (422, "uuid_parsing", "/task_id")
        assert await client.problem(kind) == (422, "missing", "/task_id")


async def test_a_submission_of_nearly_256_kib(server: Server) -> None:
    nodes = 225
    matrix = [[None if i == j else 1000 + i for j in range(nodes)] for i in range(nodes)]
    body = {"tsp_instance": {"matrix": matrix}}
    assert 200_000 < len(orjson.dumps(body)) < 256 * 1024
    async with client_of(server) as client:
        task_id = await client.submit(body=body)
        assert await by_rest(server, f"/tsp_solver/v1/jobs/{task_id}/instance") == {
            "matrix": matrix
        }


@pytest.mark.parametrize("size", [256 * 1024 + 1, 8 * 2**20])
async def test_a_larger_message_is_told_to_come_by_rest(server: Server, size: int) -> None:
    start = '{"type":"submitJob","id":1,"body":"'
    async with client_of(server) as client:
        await client.subscribe()
        await client.socket.send(start + "x" * (size - len(start) - 2) + '"}')
        error = (await client.receive())["error"]
        assert (error["status"], error["limit_bytes"]) == (413, 256 * 1024)
        assert "POST" in error["detail"]
        assert (await client.closed())[0] == 1009
    await until(lambda: not server.uvicorn.server_state.connections, timeout_s=5)


async def test_only_so_many_requests_are_worked_on_at_once(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_IN_FLIGHT", 2)
    job = await jobs.submit()
    async with client_of(server) as client:
        # Given two requests that cannot go on
        async with jobs.database.write() as session:
            await session.execute(select(Job).where(Job.id == job).with_for_update())
            for number in (1, 2):
                await client.send(type="deleteJob", id=number, task_id=str(job))
            # When a third is made
            await client.send(type="getQueue", id=3)
            await until_waiting_for_locks(jobs, 2)
        # Then it has waited for one of them
        assert (await client.receive())["id"] in {1, 2}
        assert {(await client.receive())["id"] for _ in range(2)} >= {3}


async def until_waiting_for_locks(jobs: Jobs, number: int) -> None:
    query = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    for _ in range(int(DEADLINE_S / 0.01)):
        async with jobs.database.read() as session:
            if await session.scalar(query) == number:
                return
    raise AssertionError(f"{number} statements never waited")


async def test_what_was_asked_for_is_done_for_one_who_leaves(server: Server, jobs: Jobs) -> None:
    async with client_of(server) as client:
        for number in range(5):
            await client.send(type="submitJob", id=number, **TSP, body=SUBMISSION)
        await client.socket.close()
    await until(lambda: not server.uvicorn.server_state.tasks)
    assert await number_of_jobs(jobs) == 5


async def test_many_requests_without_waiting_for_answers(server: Server) -> None:
    async with client_of(server) as client:
        for number in range(200):
            kind = "submitJob" if number % 2 else "getQueue"
            fields = {**TSP, "body": SUBMISSION} if number % 2 else {}
            await client.send(type=kind, id=number, **fields)
        answers: set[int] = set()
        seqs: list[int] = []
        while len(answers) < 200 or len(seqs) < 100:
            message = await client.receive()
            if message["type"] == "event":
                seqs.append(message["event"]["seq"])
            else:
                assert message["type"] == "response"
                answers.add(message["id"])
        assert seqs == [1] * 100
        assert (await client.result("getQueue", limit=200))["waiting"] == 100


async def test_a_database_that_does_not_answer(
    server: Server, jobs: Jobs, servers: Servers, database: TestDatabase
) -> None:
    job = str(await jobs.submit())
    async with client_of(server) as client:
        await client.subscribe()
        refuse_connections(servers, database)
        for kind, fields in (
            ("getJob", {"task_id": job}),
            ("deleteJob", {"task_id": job}),
            ("getQueue", {}),
            ("submitJob", {**TSP, "body": SUBMISSION}),
        ):
            assert (await client.problem(kind, **fields))[:2] == (503, "unavailable")
        servers.run_sql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        assert (await client.result("getJob", task_id=job))["status"] == "Submitted"


async def test_a_defect_of_ours_is_said(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimized_tsp.live.requests.find_queue", lambda *_, **__: 1 / 0)
    async with client_of(server) as client:
        assert (await client.problem("getQueue"))[:2] == (500, "internal-error")
        await client.submit()

"""A submission that is repeated with its key makes no second job, on the websocket as by REST."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from optimized_tsp.live import stream
from tests.live.conftest import SUBMISSION, Jobs, Server, client_of
from tests.live.test_requests import number_of_jobs

TSP: dict[str, Any] = {"solver": "tsp", "version": "v1"}


async def test_a_repeated_key_gives_the_same_job_by_either_way(server: Server, jobs: Jobs) -> None:
    request = {**TSP, "body": {**SUBMISSION, "name": "order 17"}, "idempotency_key": "order-17"}
    async with client_of(server) as client, client_of(server) as other, httpx.AsyncClient() as http:
        job = await client.result("submitJob", **request)
        assert (await client.result("submitJob", **request))["task_id"] == job["task_id"]
        assert (await other.result("submitJob", **request))["task_id"] == job["task_id"]
        # By REST, too, however the JSON is written
        by_rest = await http.post(
            f"http://127.0.0.1:{server.port}/tsp_solver/v1/jobs",
            content=orjson.dumps(
                dict(reversed(request["body"].items())), option=orjson.OPT_INDENT_2
            ),
            headers={"Idempotency-Key": "order-17", "Content-Type": "application/json"},
        )
        assert by_rest.json()["task_id"] == job["task_id"]
        assert await number_of_jobs(jobs) == 1
        # Another body is refused, and so is a key that cannot be one
        changed = {**request, "body": {**SUBMISSION, "name": "order 18"}}
        problem = await client.problem("submitJob", **changed)
        assert problem == (422, "key_reused", "/idempotency_key")
        for key in ("", "two words", "ä", "x" * 256):
            problem = await client.problem("submitJob", **(request | {"idempotency_key": key}))
            assert problem == (422, "malformed_key", "/idempotency_key")
        assert await number_of_jobs(jobs) == 1


async def test_many_at_once_with_one_key_make_one_job(server: Server, jobs: Jobs) -> None:
    async with client_of(server) as client:
        for number in range(12):
            await client.send(
                type="submitJob", id=number, **TSP, body=SUBMISSION, idempotency_key="k"
            )
        answers = [await client.receive() for _ in range(13)]
        responses = [answer for answer in answers if answer["type"] == "response"]
        assert len(responses) == 12
        assert len({answer["result"]["task_id"] for answer in responses}) == 1
        assert await number_of_jobs(jobs) == 1


async def test_who_repeats_a_submission_is_told_of_the_job_from_now_on(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_FOLLOWED", 1)
    request = {**TSP, "body": SUBMISSION, "idempotency_key": "k"}
    async with client_of(server) as client:
        job = (await client.result("submitJob", **request))["task_id"]
        await jobs.happen(UUID(job))
        await client.events(2)
    # Given a client that has lost its connection, whose job goes on meanwhile
    await jobs.happen(UUID(job))
    async with client_of(server) as client:
        assert (await client.result("submitJob", **request))["task_id"] == job
        assert (await client.result("submitJob", **request))["task_id"] == job
        await jobs.happen(UUID(job))
        (event,) = await client.events(1)
        assert (event["task_id"], event["seq"]) == (job, 4)
        # Given that it ends
        assert (await client.result("deleteJob", task_id=job))["status"] == "Cancelled"
        assert [event["type"] for event in await client.events(1)] == ["job.cancelled"]
    async with client_of(server) as client:
        # Then the answer says so, nothing follows, and there is room for another job
        assert (await client.result("submitJob", **request))["status"] == "Cancelled"
        another = await client.submit()
        assert await client.seqs(1) == [1]
        assert another != job

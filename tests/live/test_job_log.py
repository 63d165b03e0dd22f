"""The log of a job on the feed, for those who ask."""

from __future__ import annotations

from uuid import UUID

import pytest

from optimized_tsp.jobs.logs import NewLine, append_lines
from optimized_tsp.live import logs
from tests.live.conftest import Client, Jobs, Server, client_of
from tests.promises import promised


async def say(jobs: Jobs, job_id: object, *messages: str, after: int, told: bool = True) -> None:
    claim = next(claim for claim in jobs._claims.values() if claim.job_id == job_id)
    lines = [NewLine(0.1, "info", message) for message in messages]
    async with jobs.database.write() as session:
        await append_lines(session, claim, lines, after=after)
    if told:
        jobs.bus.announce(claim.job_id)


async def test_lines_come_as_they_are_said_and_end_with_the_job(server: Server, jobs: Jobs) -> None:
    job_id = await jobs.submit()
    await jobs.improve(job_id, 9)
    await say(jobs, job_id, "one", "two", after=0)
    async with client_of(server) as client:
        await client.send(type="subscribe", task_id=str(job_id), log=True, log_after=1)
        seen, complete, events = [], False, []
        steps = 0
        while not complete:
            message = await client.receive()
            if message["type"] == "log":
                seen += [(line["line"], line["message"]) for line in message["lines"]]
                complete = message["complete"]
            elif message["type"] == "event":
                events.append(message["event"]["type"])
            if seen and steps == 0:
                steps = 1
                await say(jobs, job_id, "three", after=2)
                await jobs.finish(job_id)

    assert seen == [(2, "two"), (3, "three")]


async def test_a_line_nobody_told_of_comes_within_five_seconds(server: Server, jobs: Jobs) -> None:
    job_id = await jobs.submit()
    await jobs.improve(job_id, 9)
    async with client_of(server) as client:
        await client.send(type="subscribe", task_id=str(job_id), log=True)
        await say(jobs, job_id, "one", after=0)
        while (await client.receive())["type"] != "log":
            pass
        with promised(5):
            await say(jobs, job_id, "two", after=1, told=False)
            while (message := await client.receive())["type"] != "log":
                pass
    assert [line["message"] for line in message["lines"]] == ["two"]


async def test_who_did_not_ask_gets_none(server: Server, jobs: Jobs) -> None:
    job_id = await jobs.submit()
    await jobs.improve(job_id, 9)
    async with client_of(server) as client:
        await client.subscribe(task_id=str(job_id))
        await say(jobs, job_id, "one", after=0)
        await jobs.finish(job_id)
        assert (await client.event())["type"] == "job.completed"


@pytest.mark.parametrize("fields", [{"log": True}, {"log": "yes"}, {"log_after": -1}])
async def test_a_log_is_that_of_one_job(server: Server, fields: dict[str, object]) -> None:
    async with client_of(server) as client:
        await client.send(type="subscribe", **fields)
        error = await client.receive()
    assert error["type"] == "error"
    assert error["error"]["pointer"].startswith("/log")


async def log_of(client: Client, job_id: str) -> list[tuple[int, str]]:
    """All lines of the job's log that come, to the end; nobody else's log may come meanwhile."""
    lines = []
    while True:
        message = await client.receive()
        if message["type"] == "log":
            assert message["task_id"] == job_id
            lines += [(line["line"], line["message"]) for line in message["lines"]]
            if message["complete"]:
                return lines


async def test_who_submits_a_job_gets_its_log_on_request(server: Server, jobs: Jobs) -> None:
    async with client_of(server) as client:
        with_log, without = await client.submit(log=True), await client.submit()
        for job_id in (UUID(without), UUID(with_log)):
            await jobs.improve(job_id, 9)
            await say(jobs, job_id, "one", after=0)
            await say(jobs, job_id, "two", after=1)
            await jobs.finish(job_id)
        assert await log_of(client, with_log) == [(1, "one"), (2, "two")]


async def test_a_log_that_is_wanted_twice_comes_once(server: Server, jobs: Jobs) -> None:
    async with client_of(server) as client:
        # Given a log that comes with the job, of which a line was seen
        job_id = await client.submit(log=True, idempotency_key="once")
        await jobs.improve(UUID(job_id), 9)
        await say(jobs, UUID(job_id), "one", after=0)
        while (await client.receive())["type"] != "log":
            pass
        # When it is subscribed to from there on, and the job is submitted again
        await client.send(type="subscribe", task_id=job_id, log=True, log_after=1)
        while (await client.receive())["type"] != "subscribed":
            pass
        assert await client.submit(log=True, idempotency_key="once") == job_id
        await say(jobs, UUID(job_id), "two", after=1)
        await jobs.finish(UUID(job_id))
        # Then the rest comes once, and nothing after it
        assert await log_of(client, job_id) == [(2, "two")]
        status = await client.result("getJob", task_id=job_id)
        assert status["status"] == "Completed"
        assert "log" not in {message["type"] for message in client.before}


async def test_only_so_many_logs_at_once(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_LOGS", 1)
    async with client_of(server) as client:
        # A submission that is refused takes no place
        assert (await client.problem("submitJob", log=True, solver="tsp", version="v1", body={}))[
            0
        ] == 422
        job_id = await client.submit(log=True)
        body = {"solver": "tsp", "version": "v1", "body": {}}
        assert (await client.problem("submitJob", log=True, **body))[0] == 409
        # nor does a log that has ended
        await jobs.improve(UUID(job_id), 9)
        await jobs.finish(UUID(job_id))
        await log_of(client, job_id)
        assert (await client.problem("submitJob", log=True, **body))[0] == 422

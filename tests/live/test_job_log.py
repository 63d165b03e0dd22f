"""The log of a job on the feed, for those who ask."""

from __future__ import annotations

import pytest

from optimized_tsp.jobs.logs import NewLine, append_lines
from tests.live.conftest import Jobs, Server, client_of


async def say(jobs: Jobs, job_id: object, *messages: str, after: int) -> None:
    claim = next(claim for claim in jobs._claims.values() if claim.job_id == job_id)
    lines = [NewLine(0.1, "info", message) for message in messages]
    async with jobs.database.write() as session:
        await append_lines(session, claim, lines, after=after)
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

"""Who submits a job on the websocket gets its events: all, once, after the answer."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from optimized_tsp.events.filter import EventFilter
from optimized_tsp.events.log import prune_events
from optimized_tsp.jobs import commands
from optimized_tsp.live import outbox, stream
from tests.live.conftest import SUBMISSION, Client, Jobs, Server, client_of

TSP = {"solver": "tsp", "version": "v1", "body": SUBMISSION}


async def events_of(client: Client, count: int) -> list[tuple[str, int]]:
    return [(event["task_id"], event["seq"]) for event in await client.events(count)]


async def test_the_answer_then_every_event_to_the_end(server: Server, jobs: Jobs) -> None:
    async with client_of(server) as client:
        await client.send(type="submitJob", id="mine", **TSP)
        answer = await client.receive()
        assert (answer["type"], answer["id"]) == ("response", "mine")
        job = UUID(answer["result"]["task_id"])
        await jobs.improve(job, cost=7)
        await jobs.finish(job)
        assert [event["type"] for event in await client.events(4)] == [
            "job.submitted",
            "job.started",
            "job.incumbent",
            "job.completed",
        ]


async def test_events_wait_for_the_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an answer that takes so long that others have seen the job's first event by then
    async with client_of(server) as client, client_of(server) as other:
        await other.subscribe()
        view, seen = commands.view, asyncio.Event()
        loop = asyncio.get_running_loop()

        async def slow_view(*args: Any) -> Any:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(seen.wait(), loop))
            return await view(*args)

        monkeypatch.setattr(commands, "view", slow_view)
        await client.send(type="submitJob", id=1, **TSP)
        job = (await other.event())["task_id"]
        seen.set()
        # Then the one who submitted it gets the answer first all the same
        assert (await client.receive())["result"]["task_id"] == job
        assert await events_of(client, 1) == [(job, 1)]


async def test_who_only_submits_gets_events_of_those_jobs_only(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FIRST_MESSAGE_S", 2.0)
    async with client_of(server) as client, client_of(server) as silent:
        one = await client.submit()
        # When the time is over after which somebody who says nothing gets everything
        assert (await silent.receive())["type"] == "subscribed"
        other, two = await jobs.submit(), await client.submit()
        for job in (UUID(two), other, UUID(one)):
            await jobs.happen(job)
        assert await events_of(client, 4) == [(one, 1), (two, 1), (two, 2), (one, 2)]


async def test_a_subscriber_gets_each_event_once(server: Server, jobs: Jobs) -> None:
    async with client_of(server) as client:
        await client.subscribe()
        mine = await client.submit()
        other = str(await jobs.submit())
        await jobs.happen(UUID(mine))
        assert await events_of(client, 3) == [(mine, 1), (other, 1), (mine, 2)]


async def test_beside_a_subscription_that_has_nothing_to_do_with_it(
    server: Server, jobs: Jobs
) -> None:
    other, third = await jobs.submit(), await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe(task_id=str(other))
        mine = await client.submit()
        for job in (third, other, UUID(mine), third, other):
            await jobs.happen(job)
        expected = [(mine, 1), (str(other), 2), (mine, 2), (str(other), 3)]
        assert await events_of(client, 4) == expected


@pytest.mark.parametrize("after", [None, "0"])
async def test_a_later_subscription_changes_nothing_for_it(
    server: Server, jobs: Jobs, after: str | None
) -> None:
    other = await jobs.submit()
    async with client_of(server) as client:
        mine = await client.submit()
        assert await events_of(client, 1) == [(mine, 1)]
        await jobs.happen(UUID(mine))
        # When the client subscribes to something else, maybe from the beginning
        await client.send(type="subscribe", task_id=str(other), after=after)
        seen: list[tuple[str, int]] = []
        while len(seen) < (2 if after is None else 3):
            message = await client.receive()
            if message["type"] == "event":
                seen.append((message["event"]["task_id"], message["event"]["seq"]))
            if len(seen) == 1:
                await jobs.happen(UUID(mine))
        # Then what was sent of its job is not sent again, and nothing of it is left out
        assert [seq for job, seq in seen if job == mine] == [2, 3]
        assert [seq for job, seq in seen if job == str(other)] == ([1] if after else [])


async def test_nothing_is_missed_between_two_subscriptions(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = str(await jobs.submit()), str(await jobs.submit())
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    async def endless_check(_session: object, wanted: EventFilter) -> None:
        if str(wanted.task_id) == two:
            loop.call_soon_threadsafe(begun.set)
            await asyncio.Event().wait()

    monkeypatch.setattr(stream, "check_job", endless_check)
    async with client_of(server) as client, client_of(server) as other:
        await other.subscribe()
        await client.subscribe(task_id=one)
        mine = await client.submit()
        assert await events_of(client, 1) == await events_of(other, 1) == [(mine, 1)]
        # Given a subscription that is not there yet when something happens
        await client.send(type="subscribe", task_id=two)
        await begun.wait()
        await jobs.happen(UUID(mine))
        assert await events_of(other, 1) == [(mine, 2)]
        # When yet another replaces it
        await client.subscribe(task_id=one)
        # Then that is not lost
        assert await events_of(client, 1) == [(mine, 2)]


async def test_an_expired_cursor_changes_nothing_for_it(server: Server, jobs: Jobs) -> None:
    await jobs.submit()
    async with client_of(server) as client:
        mine = await client.submit()
        assert await events_of(client, 1) == [(mine, 1)]
        async with jobs.database.write() as session:
            assert await prune_events(session, keep=timedelta(0)) == 2
        await client.send(type="subscribe", after="0")
        assert (await client.receive())["type"] == "expired"
        await jobs.submit()
        await jobs.happen(UUID(mine))
        assert await events_of(client, 1) == [(mine, 2)]


async def test_a_job_that_ended_is_followed_no_more(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_FOLLOWED", 2)
    async with client_of(server) as client:
        one, two = await client.submit(), await client.submit()
        # Given as many as may be followed
        assert (await client.problem("submitJob", **TSP))[:2] == (409, "state-conflict")
        assert await client.result("deleteJob", task_id=one)
        seen = await client.events(3)
        assert seen[-1]["type"] == "job.cancelled"
        # When one of them has ended, there is room for another
        three = await client.submit()
        await jobs.happen(UUID(two))
        assert sorted(await events_of(client, 2)) == sorted([(three, 1), (two, 2)])
        # and what was refused is not stored
        assert (await client.result("getQueue"))["waiting"] == 2


async def test_a_job_that_was_not_stored_is_not_followed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_FOLLOWED", 1)
    async with client_of(server) as client:
        assert (await client.ask("submitJob", **(TSP | {"body": {}})))["type"] == "error"
        with monkeypatch.context() as broken:
            broken.setattr("optimized_tsp.jobs.submitting.store_jobs", lambda *_: 1 / 0)
            assert (await client.ask("submitJob", **TSP))["type"] == "error"
        await client.submit()


async def test_nothing_missed_and_nothing_twice_whatever_the_client_does(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given queues that overflow, and things happening to every job as soon as it is there
    monkeypatch.setattr(outbox, "MAX_FRAMES", 7)
    rng = random.Random(11)
    noise = [await jobs.submit() for _ in range(3)]
    total = 40
    seqs: defaultdict[str, list[int]] = defaultdict(list)
    mine: set[str] = set()
    busy: list[asyncio.Task[None]] = []

    async def live(job: UUID) -> None:
        for _ in range(6):
            await jobs.happen(job, rng.randint(1, 3))
            await jobs.happen(rng.choice(noise))
        await jobs.improve(job, cost=7)
        await jobs.finish(job)

    async with client_of(server) as client:

        async def read() -> None:
            ended = 0
            while ended < total:
                message = await client.receive()
                if message["type"] == "event":
                    event = message["event"]
                    seqs[event["task_id"]].append(event["seq"])
                    ended += event["type"] == "job.completed"
                elif message["type"] == "response":
                    job = message["result"]["task_id"]
                    # The answer comes first
                    assert job not in seqs
                    mine.add(job)
                    busy.append(asyncio.create_task(live(UUID(job))))

        reading = asyncio.create_task(read())
        # When the client submits jobs and changes what it subscribes to all the time
        for number in range(total):
            await client.send(type="submitJob", id=number, **TSP)
            if rng.random() < 0.5:
                await client.send(type="subscribe", task_id=str(rng.choice(noise)))
            await asyncio.sleep(rng.random() * 0.05)
        await reading
        await asyncio.gather(*busy)
    # Then it has seen every event of each of its jobs once, in order
    assert len(mine) == total
    for job in mine:
        assert seqs[job] == list(range(1, len(seqs[job]) + 1))
        assert len(seqs[job]) >= 10

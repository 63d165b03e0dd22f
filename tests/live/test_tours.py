"""Solutions for those who asked for them, and for nobody else."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import func, update

from optimized_tsp.core.ids import new_id
from optimized_tsp.jobs.models import Job
from optimized_tsp.live import tours
from optimized_tsp.live.frames import event_frame, with_solution
from optimized_tsp.live.outbox import Frame
from optimized_tsp.live.tours import TourPace, Tours
from tests.live.conftest import DEADLINE_S, Jobs, Server, client_of
from tests.live.test_live_docs import event as event_of


def tour(cost: int) -> dict[str, Any]:
    return {"node_order": [0, 1], "cost": cost}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The jobs whose solutions were read from Postgres."""
    jobs: list[UUID] = []
    read = Tours._read

    async def counted(self: Tours, task_id: UUID) -> Any:
        jobs.append(task_id)
        return await read(self, task_id)

    monkeypatch.setattr(Tours, "_read", counted)
    return jobs


async def test_incumbents_and_the_end_carry_the_solution(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe(tours=True)
        await jobs.improve(job, cost=7)
        started, incumbent = await client.events(2)
        assert "solution" not in started["data"]
        assert incumbent["data"]["cost"] == 7
        assert incumbent["data"]["solution"] == tour(7)
        await jobs.finish(job)
        assert (await client.event())["data"]["solution"] == tour(7)


async def test_who_does_not_ask_gets_none(server: Server, jobs: Jobs, reads: list[UUID]) -> None:
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        await jobs.improve(job, cost=7)
        await jobs.finish(job)
        for event in await client.events(3):
            assert "solution" not in event["data"]
    assert reads == []


async def test_read_once_for_all_who_ask(server: Server, jobs: Jobs, reads: list[UUID]) -> None:
    job = await jobs.submit()
    async with client_of(server) as one, client_of(server) as two, client_of(server) as three:
        await one.subscribe(tours=True)
        await two.subscribe(tours=True, task_id=str(job))
        await three.subscribe()
        await jobs.improve(job, cost=7)
        await jobs.finish(job)
        for client in (one, two):
            events = await client.events(3)
            assert [event["data"].get("solution") for event in events] == [None, tour(7), tour(7)]
        for event in await three.events(3):
            assert "solution" not in event["data"]
    assert reads == [job]


async def test_at_most_one_a_second_and_the_last_for_certain(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tours, "TOUR_EVERY_S", 2.0)
    monkeypatch.setattr(tours, "BY_ITSELF_AFTER_S", 2.1)
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe(tours=True)
        # Given better and better solutions at once, then none for a while
        for cost in (9, 8, 7):
            await jobs.improve(job, cost=cost)
        _, first, second, third = await client.events(4)
        # Then the first carries its tour, or a better one that was there already
        assert first["data"]["solution"]["cost"] <= 9
        assert "solution" not in second["data"] | third["data"]
        # and the last comes when its time has come
        assert await client.receive() == {"type": "tour", "task_id": str(job), "solution": tour(7)}
        # The one at the end waits for nothing, and nothing comes after it
        await jobs.improve(job, cost=6)
        await jobs.finish(job)
        incumbent, end = await client.events(2)
        assert "solution" not in incumbent["data"]
        assert end["data"]["solution"] == tour(6)


async def test_a_tour_that_is_not_wanted_any_more_is_not_sent(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tours, "TOUR_EVERY_S", 2.0)
    monkeypatch.setattr(tours, "BY_ITSELF_AFTER_S", 2.1)
    job, other = await jobs.submit(), await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe(tours=True, task_id=str(job))
        for cost in (9, 8):
            await jobs.improve(job, cost=cost)
        await client.events(3)
        # When the client turns to another job while one tour is held back
        await client.subscribe(tours=True, task_id=str(other))
        for cost in (9, 8):
            await jobs.improve(other, cost=cost)
        await client.events(3)
        # Then it gets those of that one only
        assert (await client.receive())["task_id"] == str(other)


async def test_tours_of_a_job_that_was_submitted_here(server: Server, jobs: Jobs) -> None:
    async with client_of(server) as client:
        with_tours, without = await client.submit(tours=True), await client.submit()
        for job in (with_tours, without):
            await jobs.improve(UUID(job), cost=7)
        found = {
            event["task_id"]: event["data"].get("solution")
            for event in await client.events(6)
            if event["type"] == "job.incumbent"
        }
        assert found == {with_tours: tour(7), without: None}


async def test_history_is_replayed_with_what_is_known_now(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    for cost in (9, 8, 7):
        await jobs.improve(job, cost=cost)
    await jobs.finish(job)
    async with client_of(server) as client:
        await client.subscribe(tours=True, after="0")
        events = await client.events(6)
        assert [event["data"].get("solution") for event in events] == [
            None,
            None,
            tour(7),
            None,
            None,
            tour(7),
        ]


async def test_a_removed_job_shows_no_tour(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    await jobs.improve(job, cost=7)
    async with jobs.database.write() as session:
        await session.execute(update(Job).where(Job.id == job).values(deleted_at=func.now()))
    async with client_of(server) as client:
        await client.subscribe(tours=True, after="0")
        for event in await client.events(3):
            assert "solution" not in event["data"]


async def test_what_is_remembered_is_bounded(
    jobs: Jobs, reads: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await jobs.submit(), await jobs.submit()
    for job in (one, two):
        await jobs.improve(job, cost=7)
    known = Tours(jobs.database.read)
    # Given room for one tour only
    text = await known.best(one, 7)
    assert text is not None
    assert orjson.loads(text) == tour(7)
    monkeypatch.setattr(tours, "MAX_BYTES", len(text))
    # When that of another job is read, the first is forgotten
    await known.best(two, 7)
    await known.best(two, 9)
    assert reads == [one, two]
    await known.best(one, 7)
    assert reads == [one, two, one]
    assert known._bytes == len(text)
    # A better one than what is known is read
    await jobs.improve(one, cost=5)
    text = await known.best(one, 5)
    assert text is not None
    assert orjson.loads(text) == tour(5)


async def test_a_job_nobody_knows_has_no_tour(jobs: Jobs) -> None:
    assert await Tours(jobs.database.read).best(new_id(), 7) is None


@pytest.mark.parametrize("data", [{}, {"cost": 7}, {"name": "}}}"}, {"a": {"b": {}}}])
def test_a_solution_is_put_into_the_message_of_its_event(data: dict[str, Any]) -> None:
    shown = {
        "type": "job.incumbent",
        "task_id": str(new_id()),
        "solver": "tsp",
        "version": "v1",
        "seq": 3,
        "at": "2026-11-22T02:07:31Z",
        "cursor": "2b",
        "data": data,
    }
    frame = event_frame(event_of(shown))
    solution = orjson.dumps(tour(7)).decode()
    expected = {"type": "event", "event": shown | {"data": data | {"solution": tour(7)}}}
    assert orjson.loads(with_solution(frame, solution)) == expected


async def test_the_next_event_takes_along_what_was_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tours, "TOUR_EVERY_S", 0.05)
    monkeypatch.setattr(tours, "BY_ITSELF_AFTER_S", 60.0)
    job, pace = new_id(), TourPace()
    assert pace.admits(Frame(1, "", job, terminal=False, cost=9))
    assert not pace.admits(Frame(2, "", job, terminal=False, cost=8))
    async with asyncio.timeout(DEADLINE_S):
        while not pace.admits(Frame(3, "", job, terminal=False, cost=7)):
            assert pace.release() == {}
            await asyncio.sleep(0.005)
    assert pace._held == {}


async def test_after_the_end_nothing_is_held_back() -> None:
    job, pace = new_id(), TourPace()
    assert pace.admits(Frame(1, "", job, terminal=False, cost=7))
    assert not pace.admits(Frame(2, "", job, terminal=False, cost=6))
    assert pace.due is not None
    assert pace.admits(Frame(3, "", job, terminal=True, cost=6))
    assert pace.release() == {}
    assert pace.due is None


async def test_the_pace_forgets_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tours, "TOUR_EVERY_S", 0.0)
    pace = TourPace()
    for _ in range(5000):
        assert pace.admits(Frame(1, "", new_id(), terminal=False, cost=7))
    assert len(pace._last) <= tours._FORGET_FROM + 1

"""What a client may ask for and what it gets."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import func, update

from optimized_tsp.core.ids import new_id
from optimized_tsp.events.log import prune_events, replay_page
from optimized_tsp.events.models import Event
from optimized_tsp.jobs.models import Job
from optimized_tsp.live import stream
from tests.live.conftest import Jobs, Server, client_of, until


async def test_from_now_on(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        await jobs.happen(job, cost=7)
        event = await client.event()
    # Then the event is complete, and what was before is not sent
    assert event.pop("at").endswith("Z")
    assert event.pop("cursor")
    assert event == {
        "type": "job.incumbent",
        "task_id": str(job),
        "solver": "tsp",
        "version": "v1",
        "seq": 2,
        "data": {"cost": 7},
    }


async def test_who_says_nothing_gets_everything_since_connecting(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FIRST_MESSAGE_S", 1.0)
    began = monotonic()
    async with client_of(server) as client:
        job = await jobs.submit()
        assert (await client.receive())["type"] == "subscribed"
        assert monotonic() - began >= 1.0
        assert (await client.event())["task_id"] == str(job)
        await jobs.happen(job)
        assert (await client.event())["seq"] == 2


async def test_a_ping_does_not_end_the_wait_for_a_subscription(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.send(type="ping")
        assert await client.receive() == {"type": "pong"}
        await client.subscribe(after="0")
        assert (await client.event())["task_id"] == str(job)


async def test_after_a_cursor(server: Server, jobs: Jobs) -> None:
    # Given a client that saw two events and left
    job = await jobs.submit()
    await jobs.happen(job, 4)
    async with client_of(server) as client:
        assert await client.subscribe(after="0") == "0"
        assert await client.seqs(2) == [1, 2]
        cursor = client.cursor
    # When it comes back with its cursor
    async with client_of(server) as client:
        assert await client.subscribe(after=cursor) == cursor
        # Then it goes on there, and further live
        assert await client.seqs(3) == [3, 4, 5]
        await jobs.happen(job)
        assert await client.seqs(1) == [6]


async def test_the_cursor_of_the_answer_can_be_resumed_from(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with client_of(server) as client:
        cursor = await client.subscribe()
    await jobs.happen(job)
    async with client_of(server) as client:
        await client.subscribe(after=cursor)
        assert await client.seqs(1) == [2]


@pytest.mark.parametrize("live", [True, False])
async def test_one_job(server: Server, jobs: Jobs, *, live: bool) -> None:
    other, mine = await jobs.submit(), await jobs.submit()
    async with client_of(server) as client:
        if live:
            await client.subscribe(task_id=str(mine))
        await jobs.happen(other, 3)
        await jobs.happen(mine, 2)
        if not live:
            await client.subscribe(task_id=str(mine), after="0")
            assert await client.seqs(1) == [1]
        events = await client.events(2)
    assert [event["task_id"] for event in events] == [str(mine)] * 2


@pytest.mark.parametrize("live", [True, False])
async def test_jobs_with_a_tag(server: Server, jobs: Jobs, *, live: bool) -> None:
    plain = await jobs.submit()
    async with client_of(server) as client:
        if live:
            await client.subscribe(tag="run:a:b")
        await jobs.happen(plain, 3)
        other = await jobs.submit(run="b")
        tagged = await jobs.submit(run="a:b", team="north")
        await jobs.happen(other)
        await jobs.happen(tagged)
        if not live:
            await client.subscribe(tag="run:a:b", after="0")
        events = await client.events(2)
    assert [(event["task_id"], event["seq"]) for event in events] == [
        (str(tagged), 1),
        (str(tagged), 2),
    ]


async def test_one_solver(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with client_of(server, "/tsp_solver/v1/live") as client:
        await client.subscribe(task_id=str(job), after="0")
        assert await client.seqs(1) == [1]


async def test_a_later_subscription_replaces_the_first(server: Server, jobs: Jobs) -> None:
    one, two = await jobs.submit(), await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe(task_id=str(one))
        await client.subscribe(task_id=str(two))
        await jobs.happen(one)
        await jobs.happen(two)
        assert (await client.event())["task_id"] == str(two)
        await client.subscribe(task_id=str(one), after="0")
        assert await client.seqs(2) == [1, 2]


REFUSED = {
    "not JSON": ("{", "not_json", ""),
    "nothing": ("", "not_json", ""),
    "NaN": ('{"type":"ping","x":NaN}', "not_json", ""),
    "lone surrogate": ('{"type":"subscribe","tag":"a:\\ud800"}', "not_json", ""),
    "deep": ("[" * 100_000, "not_json", ""),
    "no object": ("[]", "not_an_object", ""),
    "no type": ("{}", "unknown_type", "/type"),
    "unknown type": ('{"type":"solve"}', "unknown_type", "/type"),
    "type of a wrong type": ('{"type":["subscribe"]}', "unknown_type", "/type"),
    "unknown field": ('{"type":"subscribe","task":1}', "extra_forbidden", "/task"),
    "task_id of a wrong type": ('{"type":"subscribe","task_id":1}', "uuid_type", "/task_id"),
    "malformed task_id": ('{"type":"subscribe","task_id":"7"}', "uuid_parsing", "/task_id"),
    "unknown task_id": (
        f'{{"type":"subscribe","task_id":"{new_id()}"}}',
        "unknown_task",
        "/task_id",
    ),
    "tag without value": ('{"type":"subscribe","tag":"run"}', "malformed_tag", "/tag"),
    "tag without key": ('{"type":"subscribe","tag":":run"}', "malformed_tag", "/tag"),
    "NUL in a tag": ('{"type":"subscribe","tag":"a:\\u0000"}', "malformed_tag", "/tag"),
    "malformed cursor": ('{"type":"subscribe","after":"0x1"}', "malformed_cursor", "/after"),
    "empty cursor": ('{"type":"subscribe","after":""}', "malformed_cursor", "/after"),
    "cursor of a wrong type": ('{"type":"subscribe","after":0}', "string_type", "/after"),
    "cursor from the future": ('{"type":"subscribe","after":"ffff"}', "unknown_cursor", "/after"),
    "tours of a wrong type": ('{"type":"subscribe","tours":1}', "bool_type", "/tours"),
    "binary": (b'{"type":"ping"}', "not_text", ""),
}


@pytest.mark.parametrize(("message", "code", "pointer"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_bad_message_is_explained_and_ends_the_connection(
    server: Server, message: str | bytes, code: str, pointer: str
) -> None:
    async with client_of(server) as client:
        await client.socket.send(message)
        answer = await client.receive()
        assert answer["type"] == "error"
        error = answer["error"]
        assert (error["code"], error["pointer"]) == (code, pointer)
        assert error["detail"]
        assert error["errors"][0]["message"]
        assert (await client.closed())[0] == 4400


async def test_a_job_of_another_solver_is_unknown(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with jobs.database.write() as session:
        await session.execute(update(Job).where(Job.id == job).values(version="v0"))
    async with client_of(server, "/tsp_solver/v1/live") as client:
        await client.send(type="subscribe", task_id=str(job))
        assert (await client.receive())["error"]["code"] == "unknown_task"


async def test_a_message_may_have_256_kib(server: Server) -> None:
    filler = " " * (256 * 1024 - len('{"type":"ping"}'))
    async with client_of(server) as client:
        await client.socket.send('{"type":"ping"' + filler + "}")
        assert await client.receive() == {"type": "pong"}
        await client.socket.send('{"type":"ping"' + filler + " }")
        assert (await client.closed())[0] == 1009


async def test_pings_both_ways(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimized_tsp.live.connection.PING_INTERVAL_S", 0.1)
    async with client_of(server) as client:
        await client.subscribe()
        assert await client.receive(pings=True) == {"type": "ping"}
        await client.send(type="pong")
        await client.send(type="ping")
        answers = {(await client.receive(pings=True))["type"]}
        while len(answers) < 2:
            answers.add((await client.receive(pings=True))["type"])
        assert answers == {"ping", "pong"}


async def test_a_cursor_older_than_what_is_kept(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    await jobs.happen(job, 3)
    async with client_of(server) as client:
        await client.subscribe(after="0")
        await client.events(3)
        kept = client.cursor
        await client.events(1)
        async with jobs.database.write() as session:
            long_ago = func.now() - timedelta(days=10)
            await session.execute(update(Event).where(Event.seq < 4).values(at=long_ago))
            assert await prune_events(session, keep=timedelta(days=7)) == 3
        # When it asks for what is gone
        await client.send(type="subscribe", after="0")
        # Then it is told from where it can go on, and does
        assert await client.receive() == {"type": "expired", "cursor": kept}
        await client.subscribe(after=kept)
        assert await client.seqs(1) == [4]


async def test_an_expired_cursor_makes_nobody_read_what_is_kept(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await jobs.submit()
    await jobs.happen(job, 3)
    pages: list[object] = []

    async def counted(*args: Any, **options: Any) -> Any:
        pages.append(args)
        return await replay_page(*args, **options)

    monkeypatch.setattr("optimized_tsp.live.feed.replay_page", counted)
    monkeypatch.setattr("optimized_tsp.live.history.MAX_EVENTS", 1)
    async with client_of(server) as client:
        await client.subscribe(after="0")
        await client.events(4)
        async with jobs.database.write() as session:
            old = update(Event).where(Event.seq < 3).values(at=func.now() - timedelta(days=10))
            await session.execute(old)
            assert await prune_events(session, keep=timedelta(days=7)) == 2
        pages.clear()
        await client.send(type="subscribe", after="0")
        assert (await client.receive())["type"] == "expired"
        await until(lambda: server.subscribers == 1)
        await client.send(type="ping")
        assert await client.receive() == {"type": "pong"}
    assert pages == []


async def test_nothing_is_compressed_even_if_the_client_would(server: Server) -> None:
    async with client_of(server, compression="deflate") as client:
        assert client.socket.request is not None
        assert "permessage-deflate" in client.socket.request.headers["Sec-WebSocket-Extensions"]
        assert client.socket.protocol.extensions == []


async def test_one_who_leaves_is_forgotten(server: Server) -> None:
    async with client_of(server) as client:
        await client.subscribe()
        assert server.subscribers == 1
        client.socket.transport.abort()
        await until(lambda: server.subscribers == 0)


async def test_a_defect_of_ours_is_said(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimized_tsp.live.stream.subscribed_frame", lambda _: 1 / 0)
    async with client_of(server) as client:
        await client.send(type="subscribe")
        assert (await client.closed())[0] == 1011

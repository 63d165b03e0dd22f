"""New events for many clients at once: encoded once, in order, whatever clients do meanwhile."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.events.filter import EventFilter, Wanted
from optimized_tsp.events.types import JobEvent
from optimized_tsp.live import feed as feed_module
from optimized_tsp.live import handout
from optimized_tsp.live import outbox as outbox_module
from optimized_tsp.live.frames import websocket_frame
from optimized_tsp.live.handout import HandOut
from optimized_tsp.live.outbox import Batch, Outbox
from tests.live.conftest import Client, Jobs, Server, client_of, subscribed

EVERYTHING = EventFilter(DEFAULT_TENANT_ID)
JOB, OTHER = new_id(), new_id()


def event(position: int, job: UUID = JOB, **data: Any) -> JobEvent:
    return JobEvent(
        type="job.incumbent",
        task_id=job,
        solver="tsp",
        version="v1",
        seq=position,
        at=datetime.now(UTC),
        position=position,
        data=data,
        tenant_id=DEFAULT_TENANT_ID,
        tags={},
    )


class Socket:
    """What was written to a client, which takes it only while `takes` is true."""

    def __init__(self, wanted: Wanted, *, after: int = 0) -> None:
        self.takes = True
        self.written = b""
        self.outbox = Outbox(wanted, self)
        self.outbox.open(after=after)

    def write(self, batch: Batch) -> bool:
        if self.takes:
            self.written += batch.wire
        return self.takes

    def give(self, events: HandOut) -> list[Batch]:
        batches = events.wanted_by(self.outbox)
        for batch in batches:
            self.outbox.give(batch)
        return batches


def messages(wire: bytes) -> list[str]:
    """What a client reads from the bytes of a connection that is open."""
    client = ClientProtocol(parse_uri("ws://127.0.0.1/"), state=State.OPEN, max_size=None)
    client.receive_data(wire)
    assert client.parser_exc is None
    frames = client.events_received()
    assert all(isinstance(frame, WebSocketFrame) for frame in frames)
    assert all(frame.opcode is Opcode.TEXT and frame.fin for frame in frames)  # type: ignore[union-attr]
    return [bytes(frame.data).decode() for frame in frames]  # type: ignore[union-attr]


def positions(wire: bytes) -> list[int]:
    return [json.loads(message)["event"]["seq"] for message in messages(wire)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_message_is_framed_as_the_rfc_says(length: int) -> None:
    text = "é" * (length // 2) + "x" * (length % 2)
    assert len(text.encode()) == length
    assert messages(websocket_frame(text) + websocket_frame("next")) == [text, "next"]


def test_clients_that_want_the_same_get_the_same_bytes() -> None:
    events = HandOut([event(1), event(2, OTHER), event(3)])
    everything, one_job = Wanted(EVERYTHING, 0), EventFilter(DEFAULT_TENANT_ID, task_id=JOB)
    (first,), (second,) = (events.wanted_by(Socket(everything).outbox) for _ in range(2))
    assert first is second
    assert positions(first.wire) == [1, 2, 3]
    (narrow,) = events.wanted_by(Socket(Wanted(one_job, 0)).outbox)
    assert positions(narrow.wire) == [1, 3]
    assert [(one.position, clients) for one, clients in events.reached()] == [
        (1, 3),
        (2, 2),
        (3, 3),
    ]


def test_a_client_that_has_some_of_them_gets_the_others() -> None:
    events = HandOut([event(1), event(2), event(3)])
    for client in (
        Socket(Wanted(EVERYTHING, 0), after=2),  # it read them from Postgres
        Socket(Wanted(EVERYTHING, 2)),  # its cursor is of another API that was ahead
    ):
        (batch,) = events.wanted_by(client.outbox)
        assert positions(batch.wire) == [3]


def test_a_job_that_is_followed_comes_beside_what_was_subscribed_to() -> None:
    events = HandOut([event(1), event(2, OTHER)])
    none_of_these = EventFilter(DEFAULT_TENANT_ID, task_id=new_id())
    (batch,) = events.wanted_by(Socket(Wanted(none_of_these, 0, {OTHER: False})).outbox)
    assert positions(batch.wire) == [2]


def test_what_was_made_for_one_client_is_not_kept() -> None:
    events = HandOut([event(1), event(2, OTHER)])
    for _ in range(3):
        (batch,) = events.wanted(Wanted(EVERYTHING, 0, {new_id(): False}), after=0)
        assert positions(batch.wire) == [1, 2]
        assert gc.get_referrers(batch) == []


def test_of_subscriptions_that_somebody_makes_up_only_some_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handout, "_SHARED", 2)
    events, kept = HandOut([event(1)]), []
    for number in range(4):
        made_up = EventFilter(DEFAULT_TENANT_ID, tag=("made up", str(number)))
        assert events.wanted(Wanted(made_up, 0), after=0) == []
        kept.append(weakref.ref(made_up))
    del made_up
    assert [reference() is not None for reference in kept] == [True, True, False, False]
    (batch,) = events.wanted(Wanted(EVERYTHING, 0), after=0)
    assert positions(batch.wire) == [1]
    assert events.reached() == []  # it was shown, not handed out


def test_nobody_is_written_more_at_once_than_a_buffer_should_hold() -> None:
    events = HandOut([event(n, padding="x" * 2000) for n in range(1, 101)])
    batches = events.wanted_by(Socket(Wanted(EVERYTHING, 0)).outbox)
    assert [n for batch in batches for n in positions(batch.wire)] == list(range(1, 101))
    assert len(batches) == 4
    assert max(len(batch.wire) for batch in batches) <= 64 * 1024


async def test_what_a_socket_does_not_take_waits_and_what_comes_later_waits_behind_it() -> None:
    # Given a client that waits for events
    client = Socket(Wanted(EVERYTHING, 0))
    taking = asyncio.create_task(client.outbox.take())
    await asyncio.sleep(0)
    # When it takes the first at once, then nothing, then would again
    client.give(HandOut([event(1)]))
    client.takes = False
    client.give(HandOut([event(2)]))
    client.takes = True
    client.give(HandOut([event(3)]))
    # Then nothing overtakes
    assert positions(client.written) == [1]
    waited = [await taking, await client.outbox.take()]
    assert [frame.position for frame in waited if frame is not None] == [2, 3]
    assert client.outbox.sent == 3


def test_an_event_handed_out_again_reaches_only_who_has_not_got_it() -> None:
    # Given events of which only one of two clients was given something before an error
    one, other = Socket(Wanted(EVERYTHING, 0)), Socket(Wanted(EVERYTHING, 0))
    one.give(HandOut([event(1), event(2)]))
    # When they are handed out again, with a new one
    again = HandOut([event(1), event(2), event(3)])
    assert [positions(batch.wire) for batch in one.give(again)] == [[3]]
    assert [positions(batch.wire) for batch in other.give(again)] == [[1, 2, 3]]


async def test_an_error_half_way_costs_nobody_an_event(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a defect that shows with the third of five clients, once
    job, given = await jobs.submit(), 0
    give = Outbox.give

    def failing_once(outbox: Outbox, batch: Batch) -> None:
        nonlocal given
        given += 1
        if given == 3:
            raise ValueError("a defect")
        give(outbox, batch)

    async with AsyncExitStack() as stack:
        clients = await subscribed(stack, server, 5)
        monkeypatch.setattr(Outbox, "give", failing_once)
        await jobs.happen(job, 3)
        # Then all get everything once
        for client in clients:
            assert await client.seqs(3) == [2, 3, 4]
        await jobs.happen(job)
        for client in clients:
            assert await client.seqs(1) == [5]


async def test_a_burst_behind_events_that_were_written_at_once(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_FRAMES", 10)
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        await jobs.happen(job, 5)
        assert await client.seqs(5) == list(range(2, 7))
        # When more comes than is written at once and waits
        await jobs.happen(job, 400, padding="x" * 2000)
        # Then the rest is read from Postgres from the right place on
        assert await client.seqs(400) == list(range(7, 407))


async def test_clients_that_subscribe_anew_while_events_are_handed_out(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a feed that lets others have their turn after every single client
    monkeypatch.setattr(feed_module, "_CLIENTS_AT_ONCE", 1)
    job, total = await jobs.submit(), 120

    async def follow(client: Client, events_a_time: int) -> list[int]:
        """All events, with a new subscription from the cursor on again and again."""
        seen: list[int] = []
        while len(seen) < total:
            await client.send(type="subscribe", after=client.cursor or "0")
            while (await client.receive())["type"] != "subscribed":
                pass  # what the subscription before still sent comes again
            count = min(events_a_time, total - len(seen))
            seen += await client.seqs(count)
        return seen

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(server)) for _ in range(12)]
        following = asyncio.gather(
            *(follow(client, 3 + number) for number, client in enumerate(clients))
        )
        # When events happen all the time
        for _ in range(total - 1):
            await jobs.happen(job)
        # Then everybody sees each of them once, in order
        for seen in await following:
            assert seen == list(range(1, total + 1))

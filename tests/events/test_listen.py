"""Listening to Redis: what is announced is heard, what is lost is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import make_url

from optimized_tsp.core.ids import new_id
from optimized_tsp.embedded.identity import free_port
from optimized_tsp.events import listen as listen_module
from optimized_tsp.events.bus import Bus, Channel
from optimized_tsp.events.listen import listen


@asynccontextmanager
async def listening(bus: Bus) -> AsyncIterator[asyncio.Queue[UUID | None]]:
    heard: asyncio.Queue[UUID | None] = asyncio.Queue()
    task = asyncio.create_task(listen(bus, Channel.EVENTS, heard.put_nowait))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])


async def next_heard(heard: asyncio.Queue[UUID | None]) -> UUID | None:
    async with asyncio.timeout(10):
        return await heard.get()


async def test_an_announcement_is_heard(bus: Bus) -> None:
    async with listening(bus) as heard:
        assert await next_heard(heard) is None  # subscribed: look at what there is
        job_id = new_id()
        bus.announce(job_id)
        assert await next_heard(heard) == job_id


async def test_a_killed_connection_is_made_again_and_said_to_have_missed(
    bus: Bus, redis_url: str
) -> None:
    async with listening(bus) as heard, Redis.from_url(redis_url) as redis:
        assert await next_heard(heard) is None
        assert await redis.client_kill_filter(_type="pubsub") == 1
        assert await next_heard(heard) is None
        job_id = new_id()
        bus.announce(job_id)
        assert await next_heard(heard) == job_id


async def test_a_message_that_is_no_job_id_still_wakes(bus: Bus, redis_url: str) -> None:
    async with listening(bus) as heard, Redis.from_url(redis_url) as redis:
        assert await next_heard(heard) is None
        await redis.publish(Channel.EVENTS.value, b"?")
        assert await next_heard(heard) is None


class Cable:
    """A TCP connection through us that can go silent without being closed."""

    def __init__(self, redis_url: str) -> None:
        self._url = make_url(redis_url)
        self.connections = 0
        self._silent: set[int] = set()
        self._wires: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Cable:
        self._server = await asyncio.start_server(self._plugged_in, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for wire in self._wires:
            wire.cancel()
        await asyncio.gather(*self._wires, return_exceptions=True)

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return self._url.set(port=port).render_as_string(hide_password=False)

    def go_silent(self) -> None:
        """Everything plugged in by now carries nothing any more."""
        self._silent = set(range(1, self.connections + 1))

    async def _plugged_in(self, near: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        far, into = await asyncio.open_connection(self._url.host, self._url.port)
        self._wires += [
            asyncio.create_task(self._carry(number, near, into)),
            asyncio.create_task(self._carry(number, far, out)),
        ]

    async def _carry(
        self, number: int, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(4096):
                if number not in self._silent:
                    target.write(data)
        finally:
            target.close()


async def test_a_connection_that_went_silent_is_given_up(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen_module, "_SILENCE_S", 0.2)
    async with Cable(redis_url) as cable:
        bus = Bus(cable.url)
        async with listening(bus) as heard:
            assert await next_heard(heard) is None
            cable.go_silent()
            assert await next_heard(heard) is None
            assert cable.connections == 2
            job_id = new_id()
            bus.announce(job_id)
            assert await next_heard(heard) == job_id
        await bus.close()


async def test_while_redis_is_away_messages_may_be_missed_again_and_again() -> None:
    bus = Bus(f"redis://127.0.0.1:{free_port()}/0")
    async with listening(bus) as heard:
        for _ in range(3):
            assert await next_heard(heard) is None
    await bus.close()

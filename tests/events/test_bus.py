"""The doorbell: whatever is announced at once arrives, over few connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import uvloop
from redis.asyncio import Redis

from optimized_tsp.core.context import Origin, coming_from
from optimized_tsp.core.ids import new_id
from optimized_tsp.events.bus import RING_KEY, RINGS_KEPT, Bus, Channel
from tests.core.test_outages import write_to_lost
from tests.events.test_listen import listening, next_heard
from tests.webhooks.certificates import Authority, make_authority


async def test_a_thousand_announcements_at_once_are_all_heard(bus: Bus, redis_url: str) -> None:
    jobs = [new_id() for _ in range(1000)]
    async with listening(bus) as heard, Redis.from_url(redis_url) as redis:
        assert await next_heard(heard) is None
        before = (await redis.info("stats"))["total_connections_received"]

        for job_id in jobs:
            bus.announce(job_id, ring=True)

        assert [await next_heard(heard) for _ in jobs] == jobs
        assert await redis.llen(RING_KEY) == RINGS_KEPT
        assert (await redis.info("stats"))["total_connections_received"] - before <= 1


async def test_announcements_of_one_moment_are_one_message(bus: Bus, redis_url: str) -> None:
    jobs = [new_id() for _ in range(3)]
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(Channel.EVENTS.value)
        assert (await pubsub.get_message(timeout=10))["type"] == "subscribe"

        for job_id in jobs:
            bus.announce(job_id)

        message = await pubsub.get_message(timeout=10)
        assert message["data"] == b"".join(job_id.bytes for job_id in jobs)


async def test_every_ring_wakes_a_worker_of_its_own(bus: Bus, redis_url: str) -> None:
    for _ in range(3):
        bus.ring()
    await bus.close()

    async with Redis.from_url(redis_url) as redis:
        assert await redis.llen(RING_KEY) == 3


async def test_without_redis_the_warning_names_no_request(
    capfd: pytest.CaptureFixture[str],
) -> None:
    bus = Bus("redis://127.0.0.1:1/0")  # where nobody listens

    with coming_from(Origin("of one of many"), job="of one of many"):
        bus.announce(new_id(), ring=True)
    await bus.close()

    [warning] = capfd.readouterr().out.splitlines()
    assert "redis_unreachable" in warning
    assert "of one of many" not in warning


@pytest.mark.parametrize(("times", "heard_of"), [(1, True), (2, False)])
def test_a_connection_lost_at_the_last_moment_is_made_anew_once(
    redis_url: str, capfd: pytest.CaptureFixture[str], times: int, *, heard_of: bool
) -> None:
    # uvloop, as the API has it: its error for this is known to no driver.
    ponged, ponged_again, announced = uvloop.run(_lose_connections(redis_url, times))

    assert (ponged, ponged_again) == (heard_of, True)
    assert announced is heard_of
    assert ("redis_unreachable" in capfd.readouterr().out) is not heard_of


async def _lose_connections(redis_url: str, times: int) -> tuple[bool, bool, bool]:
    """What two pings say, the first on a lost connection; whether such an announcement is heard."""
    bus = Bus(redis_url)
    async with listening(bus) as heard:
        await next_heard(heard)
        assert await bus.ping()
        _lose_at_next_commands(bus, times)
        pings = await bus.ping(), await bus.ping()
        _lose_at_next_commands(bus, times)
        job_id = new_id()
        bus.announce(job_id, ring=True)
        while heard.empty():  # nothing is said for a while, once Redis did not take something
            await asyncio.sleep(0.1)
            bus.announce(UUID(int=0))
        await bus.close()
        return *pings, await next_heard(heard) == job_id


def _lose_at_next_commands(bus: Bus, times: int) -> None:
    connection: Any = bus._redis.connection_pool._available_connections[0]
    left = times

    async def lose() -> None:
        nonlocal left
        left -= 1
        if not left:
            del connection.check_health
        connection._writer.transport.abort()
        await asyncio.sleep(0.01)  # turns of the loop, which closes it

    connection.check_health = lose


def test_a_subscription_lost_at_the_last_moment_is_an_outage(redis_url: str) -> None:
    async def lose() -> None:
        async with Bus(redis_url).subscription(Channel.EVENTS):
            await write_to_lost()

    with pytest.raises(ConnectionResetError, match="lost"):
        uvloop.run(lose())


async def test_closing_ends_well_when_redis_does_not_answer_the_good_bye(
    redis_url: str, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    async with _tls_before(redis_url, authority) as (url, transports):
        bus = Bus(url)
        assert await bus.ping()
        for transport in transports:
            transport.pause_reading()  # TLS is closed by both sides, or not at all

        await bus.close()  # an error would keep our caller from closing anything else


@asynccontextmanager
async def _tls_before(
    redis_url: str, authority: Authority
) -> AsyncIterator[tuple[str, list[asyncio.Transport]]]:
    """The URL of the same Redis behind TLS, and that end of every connection."""
    redis = urlsplit(redis_url)
    transports: list[asyncio.Transport] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(writer.transport, asyncio.Transport)
        transports.append(writer.transport)
        from_redis, to_redis = await asyncio.open_connection(redis.hostname, redis.port)
        await asyncio.gather(_pass_on(reader, to_redis), _pass_on(from_redis, writer))

    async with asyncio.TaskGroup() as relays:
        server = await asyncio.start_server(
            lambda reader, writer: relays.create_task(relay(reader, writer)) and None,
            "127.0.0.1",
            0,
            ssl=authority.server("localhost"),
        )
        async with server:
            host = f"localhost:{server.sockets[0].getsockname()[1]}"
            netloc = redis.netloc.replace(f"{redis.hostname}:{redis.port}", host)
            query = f"ssl_ca_certs={authority.file}"
            yield redis._replace(scheme="rediss", netloc=netloc, query=query).geturl(), transports
            for transport in transports:
                transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await reader.read(2**16):
        writer.write(said)
        await writer.drain()
    writer.close()

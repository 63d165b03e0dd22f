"""A short mix of all faults; `make soak` runs long ones."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.faults.cluster import running_cluster
from tests.faults.faults import FAULTS, KINDS
from tests.faults.mix import HOOKS, Mix
from tests.faults.proxy import FaultProxy
from tests.stack import public_folder


@pytest.mark.timeout(300)
async def test_no_job_event_or_webhook_is_lost_or_doubled_under_a_mix_of_all_faults() -> None:
    mix = Mix(seed=5, jobs=60, faults=24, without_fail=FAULTS)

    with public_folder() as folder:
        async with running_cluster(folder, settings=HOOKS) as cluster:
            verdict = await mix.run(cluster)
            logs = cluster.logs()

    assert verdict.wrong == [], f"{verdict.wrong}, {mix.injections}, {logs[-20_000:]}"
    assert verdict.jobs >= mix.jobs
    assert {kind: mix.of_kind(kind) >= mix.faults / len(KINDS) for kind in KINDS} == dict.fromkeys(
        KINDS, True
    )
    assert set(mix.injected) == set(FAULTS)
    assert mix.killed_for_memory > 0
    assert verdict.crashes > 0, "no fault had any effect"


def test_every_fault_belongs_to_a_kind() -> None:
    assert sorted(name for names in KINDS.values() for name in names) == sorted(FAULTS)


async def test_the_proxy_does_to_connections_what_it_says() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    proxy = FaultProxy(server.sockets[0].getsockname()[1])
    proxy.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await _say(reader, writer) == b"hello"
        proxy.swallow(on=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_say(reader, writer), 0.3)
        proxy.swallow(on=False)
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
        proxy.latency_s = 0.1
        asked = time.monotonic()
        assert await _say(reader, writer) == b"hello"
        assert time.monotonic() - asked >= 0.2, "a tenth of a second there, and one back"
        proxy.calm()
        proxy.drip_bytes = 1
        asked = time.monotonic()
        assert await _say(reader, writer) == b"hello"
        assert time.monotonic() - asked >= 4 * 0.02, "each letter waits for the one before it"
        proxy.calm()
        proxy.half_open()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_say(reader, writer), 0.3)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await _say(reader, writer) == b"hello"
        assert proxy.reset_all() >= 1
        with pytest.raises(ConnectionResetError):
            await reader.read()
    finally:
        proxy.stop()
        server.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the proxy reset it, as it was asked to
    finally:
        writer.close()


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello")
    await writer.drain()
    return await reader.readexactly(5)

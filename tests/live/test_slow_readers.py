"""Clients that read slowly or not at all cost others nothing and do not stay for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import orjson
import pytest

from optimized_tsp.events.log import prune_events
from optimized_tsp.live import history, peer, protocol
from tests.live.conftest import DEADLINE_S, Jobs, Server, client_of, until
from tests.promises import promised

_HANDSHAKE = (
    "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CLOSE_SLOW = b"\x88\x19" + (4008).to_bytes(2) + b"resume from your cursor"
PADDING = "x" * 2000


class Sleeper:
    """A client that subscribes and then reads nothing until it is told to."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self.received = bytearray()

    async def connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._raw, ("127.0.0.1", port))
        await loop.sock_sendall(self._raw, _HANDSHAKE.encode())
        await self._read_past(b"\r\n\r\n")

    async def subscribe(self, **fields: str) -> None:
        message = orjson.dumps({"type": "subscribe", **fields})
        # A short text frame as a client sends it, masked with zeros.
        frame = bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message
        await asyncio.get_running_loop().sock_sendall(self._raw, frame)
        await self._read_past(b'"subscribed"')

    async def _read_past(self, part: bytes) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while part not in self.received:
                assert await self._read(64)

    async def read_until(self, ending: bytes) -> bytes:
        """Everything that was sent; raises ConnectionResetError when the end is a reset."""
        async with asyncio.timeout(DEADLINE_S):
            while not self.received.endswith(ending):
                assert await self._read(2**20)
        return bytes(self.received)

    async def is_reset(self) -> bool:
        """Whether the end is a reset."""
        try:
            await self.read_until(CLOSE_SLOW)
        except ConnectionResetError:
            return True
        return False

    async def _read(self, limit: int) -> bool:
        data = await asyncio.get_running_loop().sock_recv(self._raw, limit)
        self.received += data
        return bool(data)


@asynccontextmanager
async def sleeper_of(server: Server, **fields: str) -> AsyncIterator[Sleeper]:
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(0)
        sleeper = Sleeper(raw)
        await sleeper.connect(server.port)
        await sleeper.subscribe(**fields)
        yield sleeper


@pytest.fixture
def slow_is_not_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is reset, however long a crowded machine takes to fill somebody's queue."""
    monkeypatch.setattr(peer, "STALLED_S", 600.0)
    monkeypatch.setattr(protocol, "_UNANSWERED_MS", 600_000)


@pytest.mark.usefixtures("slow_is_not_stalled")
async def test_a_slow_reader_is_closed_and_others_do_not_notice(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with sleeper_of(server) as sleeper, client_of(server) as other:
        await other.subscribe()
        # When more happens than the slow one's queue holds
        seq = 1
        while server.subscribers > 1:
            with promised(5):
                await jobs.happen(job, 20, padding=PADDING)
                assert await other.seqs(20) == list(range(seq + 1, seq + 21))
            seq += 20
        # Then it is told so, after what had already been sent, as soon as it reads
        received = await sleeper.read_until(CLOSE_SLOW)
    # and what it was sent has no hole
    seen = [int(part.split(b",")[0]) for part in received.split(b'"seq":')[1:]]
    assert seen == list(range(2, len(seen) + 2))


async def test_a_stalled_reader_is_reset(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given one that reads nothing at all
    monkeypatch.setattr(peer, "STALLED_S", 1.0)
    job = await jobs.submit()
    async with sleeper_of(server) as sleeper:
        while server.subscribers:
            await jobs.happen(job, 100, padding=PADDING)
        # Then its connection goes without its help
        await until(lambda: not server.uvicorn.server_state.connections)
        assert await sleeper.is_reset()


async def test_one_who_stalls_while_history_is_replayed_is_reset(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "STALLED_S", 1.0)
    job = await jobs.submit()
    await jobs.happen(job, 1000, padding=PADDING)
    async with sleeper_of(server, after="0") as sleeper:
        await until(lambda: not server.uvicorn.server_state.connections)
        assert await sleeper.is_reset()


async def test_history_pruned_while_it_is_replayed_is_not_passed_over(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given one who stopped reading in the middle of history that is too long for memory
    monkeypatch.setattr(history, "MAX_EVENTS", 100)
    job = await jobs.submit()
    await jobs.happen(job, 1000, padding=PADDING)
    async with sleeper_of(server, after="0") as sleeper:
        # When the rest is pruned before it reads on
        async with jobs.database.write() as session:
            assert await prune_events(session, keep=timedelta(0)) == 1001
        # Then it is told
        received = await sleeper.read_until(b'{"type":"expired","cursor":"3e9"}')
    assert b'"seq":1001,' not in received


@pytest.mark.usefixtures("slow_is_not_stalled")
async def test_what_waits_for_a_reader_is_bounded(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with sleeper_of(server):
        (waiting,) = server.feed._outboxes
        largest = 0
        while server.subscribers:
            await jobs.happen(job, 50, padding=PADDING)
            largest = max(largest, waiting._bytes)
        assert largest <= 2**20
        assert waiting._bytes == 0
        assert waiting.too_slow


@pytest.mark.parametrize("stalled", [False, True])
async def test_stopping_with_open_connections(server: Server, jobs: Jobs, *, stalled: bool) -> None:
    job = await jobs.submit()
    async with sleeper_of(server) as sleeper, client_of(server) as client:
        await client.subscribe()
        if stalled:
            while server.subscribers > 1:
                await jobs.happen(job, 100, padding=PADDING)
        with promised(3):
            await asyncio.to_thread(server.stop)
        assert (await client.closed())[0] == 1012
        if stalled:
            assert await sleeper.is_reset()

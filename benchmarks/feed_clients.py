"""Many websocket clients of the feed in one process, as light as can be.

`python -m benchmarks.feed_clients PORT CLIENTS` connects them, prints `ready`, and after a line on
its standard input prints what they received as JSON. Clients that lose their connection come back
after a random pause with their last cursor.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import uvloop

_HANDSHAKE = (
    "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_AT_ONCE = 100
_SHORT, _MEDIUM = 126, 127
_TERMINAL = ("job.completed", "job.failed", "job.cancelled")
_CLOSE, _PING, _TEXT = 0x8, 0x9, 0x1


@dataclass
class Shared:
    """What all clients of this process saw."""

    latencies_ms: list[float] = field(default_factory=list)
    events: int = 0
    repeated: int = 0
    skipped: int = 0
    connections: int = 0
    back_s: list[float] = field(default_factory=list)
    source: random.Random = field(default_factory=lambda: random.Random(os.getpid()))
    parsed: dict[bytes, tuple[str, str, int, str, float]] = field(default_factory=dict)


class FeedClient(asyncio.Protocol):
    """One connection after the other; counts the events of every job."""

    def __init__(self, port: int, shared: Shared) -> None:
        self.subscribed = asyncio.get_running_loop().create_future()
        self._port = port
        self._shared = shared
        self._cursor: str | None = None
        self._seen: dict[str, int] = {}
        self._lost_at: float | None = None
        self._comeback: asyncio.Task[None] | None = None
        self._buffer = b""

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._buffer = b""
        self._open = False
        transport.write(_HANDSHAKE.encode())

    def connection_lost(self, _: Exception | None) -> None:
        if self._lost_at is None:
            self._lost_at = time.time()
        self._comeback = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        """After a pause between nothing and 5 s, so that not all come at once."""
        while True:
            await asyncio.sleep(self._shared.source.uniform(0, 5))
            try:
                await self.connect()
            except OSError:
                continue
            return

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head[:20]:
                self._transport.abort()
                return
            self._open, self._buffer = True, rest
            self._shared.connections += 1
            after = {} if self._cursor is None else {"after": self._cursor}
            self._send(json.dumps({"type": "subscribe", **after}).encode(), _TEXT)
        while (frame := self._next_frame()) is not None:
            self._take(*frame)

    def _next_frame(self) -> tuple[int, bytes] | None:
        """The next whole frame; servers send them unmasked and we get no fragments."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 0x7F, 2
        if length == _SHORT:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        elif length == _MEDIUM:
            length, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + length:
            return None
        self._buffer = buffer[start + length :]
        return buffer[0] & 0x0F, buffer[start : start + length]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._send(payload, 0xA)
        elif opcode == _TEXT and payload.startswith(b'{"type":"event"'):
            self._take_event(payload)
        elif opcode == _TEXT and b'"subscribed"' in payload[:40]:
            self._cursor = self._cursor or json.loads(payload)["cursor"]
            if self._lost_at is not None:
                self._shared.back_s.append(time.time() - self._lost_at)
                self._lost_at = None
            if not self.subscribed.done():
                self.subscribed.set_result(None)
        elif opcode == _TEXT and b'"ping"' in payload[:40]:
            self._send(b'{"type":"pong"}', _TEXT)

    def _take_event(self, payload: bytes) -> None:
        now, shared = time.time(), self._shared
        parsed = shared.parsed.get(payload)
        if parsed is None:  # the same for everybody: read once
            event = json.loads(payload)["event"]
            at = datetime.fromisoformat(event["at"]).timestamp()
            parsed = (event["task_id"], event["type"], event["seq"], event["cursor"], at)
            shared.parsed[payload] = parsed
        job, kind, seq, self._cursor, at = parsed
        expected = self._seen.get(job, 0) + 1
        shared.events += 1
        shared.repeated += seq < expected
        shared.skipped += seq > expected
        self._seen[job] = seq
        if kind in _TERMINAL:
            shared.latencies_ms.append((now - at) * 1000)

    def _send(self, payload: bytes, opcode: int) -> None:
        """A masked frame (with a mask of zeros: the payload as it is); ours are short."""
        self._transport.write(bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload)


async def run(port: int, count: int) -> None:
    shared = Shared()
    clients = [FeedClient(port, shared) for _ in range(count)]
    for start in range(0, count, _AT_ONCE):
        batch = clients[start : start + _AT_ONCE]
        await asyncio.gather(*(client.connect() for client in batch))
        await asyncio.gather(*(client.subscribed for client in batch))
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "end":
            break
        print(json.dumps({"terminal": len(shared.latencies_ms)}), flush=True)
    print(json.dumps(_result(shared)), flush=True)


def _result(shared: Shared) -> dict[str, Any]:
    return {
        "latencies_ms": shared.latencies_ms,
        "events": shared.events,
        "repeated": shared.repeated,
        "skipped": shared.skipped,
        "connections": shared.connections,
        "back_s": shared.back_s,
    }


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2])))

"""Many websocket clients of the feed in one process, as light as can be.

`python -m benchmarks.feed_clients PORT CLIENTS` connects them, prints `ready`, answers a line
`count` on its standard input with how much they received, and `end` with everything, as JSON.
Clients that lose their connection come back after a random pause with their last cursor.

One epoll loop reads all sockets. What it reads is the same bytes for most clients, so each distinct
piece is parsed once; every client checks the order of every event it was sent by itself.
"""

from __future__ import annotations

import errno
import heapq
import json
import os
import random
import select
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

_HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_AT_ONCE = 100
_COME_BACK_WITHIN_S = 5.0
_READ_BYTES = 16 * 1024
_PARSED_KEPT = 1000
_SHORT, _MEDIUM = 126, 127
_TERMINAL = ("job.completed", "job.failed", "job.cancelled")
_PING, _PONG, _TEXT = 0x9, 0xA, 0x1
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT


class Event(NamedTuple):
    """What is needed of an event; `at` in seconds since 1970."""

    job: str
    terminal: bool
    seq: int
    cursor: str
    at: float


class Message(NamedTuple):
    """One frame: an event, or something else with its payload."""

    opcode: int
    payload: bytes
    event: Event | None


@dataclass
class Seen:
    """What all clients of this process saw."""

    latencies_ms: list[float] = field(default_factory=list)
    events: int = 0
    repeated: int = 0
    skipped: int = 0
    connections: int = 0
    back_s: list[float] = field(default_factory=list)


@dataclass
class Client:
    """One connection after the other; `seen` is the last event of every job."""

    connection: socket.socket | None = None
    open: bool = False
    subscribed: bool = False
    rest: bytes = b""
    cursor: str | None = None
    lost_at: float | None = None
    seen: dict[str, int] = field(default_factory=dict)


class Clients:
    """All clients of this process and the loop that reads for them."""

    def __init__(self, port: int, count: int) -> None:
        self.seen = Seen()
        self.waiting = count
        self._port = port
        self._epoll = select.epoll()
        self._by_fd: dict[int, Client] = {}
        self._to_come = [Client() for _ in range(count)]
        self._under_way = 0
        self._back: list[tuple[float, int, Client]] = []
        self._parsed: dict[bytes, tuple[list[Message], bytes]] = {}
        self._source = random.Random(os.getpid())

    def watch(self, fd: int) -> None:
        """`turn` returns True when there is something to read from this."""
        self._epoll.register(fd, _IN)

    def turn(self) -> bool:
        """Read what there is; waits up to a tenth of a second for it."""
        while self._to_come and self._under_way < _AT_ONCE:
            self._connect(self._to_come.pop())
        while self._back and self._back[0][0] <= time.monotonic():
            self._connect(heapq.heappop(self._back)[2])
        asked = False
        for fd, happened in self._epoll.poll(0.1, 1024):
            client = self._by_fd.get(fd)
            if client is None:
                asked = True
            elif client.open:
                self._receive(client)
            else:
                self._hand_shake(client, happened)
        return asked

    def _connect(self, client: Client) -> None:
        self._under_way += 1
        client.connection = connection = socket.socket()
        client.open, client.subscribed, client.rest = False, False, b""
        connection.settimeout(0)
        self._by_fd[connection.fileno()] = client
        self._epoll.register(connection.fileno(), _OUT)
        if connection.connect_ex(("127.0.0.1", self._port)) not in {0, errno.EINPROGRESS}:
            self._lost(client)

    def _hand_shake(self, client: Client, happened: int) -> None:
        connection = client.connection
        assert connection is not None
        if happened & _OUT:
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._lost(client)
                return
            connection.send(_HANDSHAKE)
            self._epoll.modify(connection.fileno(), _IN)
            return
        client.rest += self._read(client)
        head, found, rest = client.rest.partition(b"\r\n\r\n")
        if found:
            if b" 101 " not in head[:20]:
                self._lost(client)
                return
            client.open, client.rest = True, rest
            self.seen.connections += 1
            after = {} if client.cursor is None else {"after": client.cursor}
            _send(client, json.dumps({"type": "subscribe", **after}).encode(), _TEXT)

    def _read(self, client: Client) -> bytes:
        """What has come; nothing when the connection was lost."""
        assert client.connection is not None
        try:
            data = client.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._lost(client)
        return data

    def _lost(self, client: Client) -> None:
        """It comes back after a pause, so that not all come at once."""
        assert client.connection is not None
        del self._by_fd[client.connection.fileno()]
        client.connection.close()
        self._under_way -= not client.subscribed
        client.open = client.subscribed = False
        client.lost_at = client.lost_at or time.time()
        due = time.monotonic() + self._source.uniform(0, _COME_BACK_WITHIN_S)
        heapq.heappush(self._back, (due, id(client), client))

    def _receive(self, client: Client) -> None:
        data = client.rest + self._read(client)
        now = time.time()
        parsed = self._parsed.get(data)
        if parsed is None:
            if len(self._parsed) >= _PARSED_KEPT:
                self._parsed.clear()
            parsed = self._parsed[data] = parse(data)
        messages, client.rest = parsed
        for message in messages:
            if message.event is not None:
                self._take(client, message.event, now)
            else:
                self._answer(client, message)

    def _take(self, client: Client, event: Event, now: float) -> None:
        seen = self.seen
        expected = client.seen.get(event.job, 0) + 1
        seen.events += 1
        seen.repeated += event.seq < expected
        seen.skipped += event.seq > expected
        client.seen[event.job] = event.seq
        client.cursor = event.cursor
        if event.terminal:
            seen.latencies_ms.append((now - event.at) * 1000)

    def _answer(self, client: Client, message: Message) -> None:
        if message.opcode == _PING:
            _send(client, message.payload, _PONG)
        elif b'"ping"' in message.payload[:40]:
            _send(client, b'{"type":"pong"}', _TEXT)
        elif b'"subscribed"' in message.payload[:40]:
            client.cursor = client.cursor or json.loads(message.payload)["cursor"]
            client.subscribed = True
            self._under_way -= 1
            if client.lost_at is None:
                self.waiting -= 1
            else:
                self.seen.back_s.append(time.time() - client.lost_at)
                client.lost_at = None


def parse(data: bytes) -> tuple[list[Message], bytes]:
    """The whole frames of `data`, and what is left; servers send no masks, ours no fragments."""
    messages, at = [], 0
    while len(data) >= at + 2:
        length, start = data[at + 1], at + 2
        if length == _SHORT:
            length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif length == _MEDIUM:
            length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if len(data) < start + length:
            break
        payload = data[start : start + length]
        messages.append(Message(data[at] & 0x0F, payload, _event(payload)))
        at = start + length
    return messages, data[at:]


def _event(payload: bytes) -> Event | None:
    if not payload.startswith(b'{"type":"event"'):
        return None
    event = json.loads(payload)["event"]
    at = datetime.fromisoformat(event["at"]).timestamp()
    terminal = event["type"] in _TERMINAL
    return Event(event["task_id"], terminal, event["seq"], event["cursor"], at)


def _send(client: Client, payload: bytes, opcode: int) -> None:
    """A masked frame (with a mask of zeros: the payload as it is); ours are short."""
    assert client.connection is not None
    with suppress(OSError):  # when it was lost the loop will be told
        client.connection.send(bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload)


def main(port: int, count: int) -> None:
    clients = Clients(port, count)
    while clients.waiting:
        clients.turn()
    print("ready", flush=True)
    clients.watch(sys.stdin.fileno())
    while True:
        if clients.turn():
            line = os.read(sys.stdin.fileno(), 100)
            if not line or line.strip() == b"end":
                break
            print(json.dumps({"terminal": len(clients.seen.latencies_ms)}), flush=True)
    print(json.dumps(_result(clients.seen)), flush=True)


def _result(seen: Seen) -> dict[str, Any]:
    return {
        "latencies_ms": seen.latencies_ms,
        "events": seen.events,
        "repeated": seen.repeated,
        "skipped": seen.skipped,
        "connections": seen.connections,
        "back_s": seen.back_s,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

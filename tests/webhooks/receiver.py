"""A receiver of webhooks that does to its sender whatever a test wants."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["Behaviour", "Receiver", "answer", "receiver"]

Behaviour = Callable[["Receiver", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """A request as it came; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """`time.monotonic()` when all of it was there."""

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Takes requests and behaves; `behaviour` may be changed while it runs."""

    behaviour: Behaviour
    port: int = 0
    scheme: str = "http"
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    present: int = 0
    most_present: int = 0
    written: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    @property
    def ids(self) -> list[str]:
        return [request.id for request in self.received]

    async def until(self, wanted: Callable[[Receiver], object], within_s: float = 20.0) -> None:
        """Wait until something is true of what was received."""
        async with asyncio.timeout(within_s):
            while not wanted(self):
                self.changed.clear()
                await self.changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.present += 1
        self.most_present = max(self.present, self.most_present)
        try:
            self.received.append(await _read(reader))
            self.changed.set()
            await self.behaviour(self, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the sender has had enough
        finally:
            self.present -= 1
            self.changed.set()
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Received(request.split(" ")[1], headers, body, time.monotonic())


@asynccontextmanager
async def receiver(
    behaviour: Behaviour, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    stranger = Receiver(behaviour, scheme="http" if tls is None else "https")
    conversations: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        task.add_done_callback(conversations.discard)
        with suppress(asyncio.CancelledError):  # asyncio's streams would call it an error
            await stranger.serve(reader, writer)

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    stranger.port = server.sockets[0].getsockname()[1]
    try:
        yield stranger
    finally:
        server.close()
        for conversation in list(conversations):
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


def answer(status: int = 200, *headers: str, body: bytes = b"", after_s: float = 0.0) -> Behaviour:
    """Answers at once (or later), properly."""
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *headers, "", ""]

    async def behave(_: Receiver, writer: asyncio.StreamWriter) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()

    return behave


async def hang(_: Receiver, __: asyncio.StreamWriter) -> None:
    """Says nothing and does not go away."""
    await asyncio.Event().wait()


async def close(_: Receiver, writer: asyncio.StreamWriter) -> None:
    """Hangs up without a word."""


async def reset(_: Receiver, writer: asyncio.StreamWriter) -> None:
    """RST instead of an answer."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def not_http(_: Receiver, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.org ESMTP\r\n")
    await writer.drain()


async def drip_head(receiver: Receiver, writer: asyncio.StreamWriter) -> None:
    """A head that never ends, a byte at a time."""
    await _drip(receiver, writer, b"HTTP/1.1 200 OK\r\nX: ")


async def drip_body(receiver: Receiver, writer: asyncio.StreamWriter) -> None:
    """A body that never ends, a byte at a time."""
    await _drip(receiver, writer, b"HTTP/1.1 200 OK\r\n\r\n")


async def _drip(receiver: Receiver, writer: asyncio.StreamWriter, first: bytes) -> None:
    writer.write(first)
    while True:
        writer.write(b"x")
        await writer.drain()
        receiver.written += 1
        await asyncio.sleep(0.02)


async def endless_head(receiver: Receiver, writer: asyncio.StreamWriter) -> None:
    """Header after header, as fast as it is read."""
    await _flood(receiver, writer, b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n")


async def endless_hints(receiver: Receiver, writer: asyncio.StreamWriter) -> None:
    """Informational responses without end."""
    await _flood(receiver, writer, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)


async def ten_gigabytes(receiver: Receiver, writer: asyncio.StreamWriter) -> None:
    """A body of ten gigabytes, as fast as it is read."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {10 * 2**30}\r\n\r\n".encode()
    await _flood(receiver, writer, head, bytes(64 * 1024))


async def _flood(
    receiver: Receiver, writer: asyncio.StreamWriter, first: bytes, more: bytes
) -> None:
    writer.write(first)
    while receiver.written < 10 * 2**30:
        writer.write(more)
        await writer.drain()
        receiver.written += len(more)


def gzip_bomb() -> Behaviour:
    """Sixty kilobytes that would be sixty megabytes."""
    return answer(200, "Content-Encoding: gzip", body=gzip.compress(bytes(60 * 2**20)))

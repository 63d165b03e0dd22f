"""A TCP proxy on loopback that misbehaves on request: what networks do to connections.

It runs in a thread of its own, so that a test that waits does not hold up the traffic.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
_CHUNK = 65_536
_DRIP_S = 0.02
_START_TIMEOUT_S = 10.0

# In Postgres' start-up message (protocol documentation, "StartupMessage").
_APPLICATION = re.compile(rb"\0application_name\0([^\0]+)\0")

# What the driver says of its statements: their text once ("Parse"), their name each time ("Bind").
_PREPARED = re.compile(rb"(__asyncpg_stmt_[0-9a-f]+__)\0([^\0]{12,})\0")
_EXECUTED = re.compile(rb"B....\0(__asyncpg_stmt_[0-9a-f]+__)\0", re.DOTALL)
_BEGIN = re.compile(rb"BEGIN[; ]")
_WRITES = re.compile(rb"INSERT INTO|\bSET\b|DELETE FROM")

# Linger 0: closing sends a reset instead of a polite end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Link:
    """One proxied connection: what the client and what the server side hold."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    application: str = ""
    """What a client of Postgres calls itself."""
    commit_seen: bool = False
    in_transaction: bool = False
    writing: set[bytes] = field(default_factory=set)
    """Names of prepared statements that write."""
    half_open: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def commits(self, chunk: bytes) -> bool:
        """Whether this commits: the word, or a statement that writes and is a transaction itself.

        To be called with all that the client sends.
        """
        for name, text in _PREPARED.findall(chunk):
            if _WRITES.search(text):
                self.writing.add(name)
        said = b"COMMIT;" in chunk
        if _BEGIN.search(chunk):
            self.in_transaction = True
        elif said or b"ROLLBACK;" in chunk:
            self.in_transaction = False
        alone = any(name in self.writing for name in _EXECUTED.findall(chunk))
        return said or (alone and not self.in_transaction)

    def reset(self) -> None:
        """End both sides with a reset, as a crashed host or an impatient firewall does."""
        for writer in (self.client, self.server):
            connection = writer.get_extra_info("socket")
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class FaultProxy:
    """Forwards to `target_port`; the setters change what happens to the bytes from now on."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.latency_s = 0.0
        """Every chunk waits so long, in both directions."""
        self.drip_bytes = 0
        """If not 0, bytes that pass every 20 ms."""
        self.refuses = False
        """New connections are reset at once."""
        self._flowing = threading.Event()
        self._flowing.set()
        self._resets_commit = ""
        self._of_application = ""
        self.commits_reset: Counter[tuple[str, str]] = Counter()
        """How many COMMITs were cut, by application and moment."""
        self._links: set[Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._do(self._listen())

    def stop(self) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_TIMEOUT_S)
        self._loop.close()

    @property
    def connections(self) -> int:
        return len(self._links)

    def reset_all(self) -> int:
        """Reset every connection; returns how many there were."""
        links = list(self._links)

        def reset() -> None:
            for link in links:
                link.reset()

        self._call(reset)
        return len(links)

    def swallow(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """A black hole: connections stay, bytes arrive nowhere, until switched off.

        What was sent meanwhile arrives then, late, as after a routing mishap.
        """
        self._call(self._flowing.clear if on else self._flowing.set)

    def half_open(self, *, server_is_told: bool = True) -> int:
        """The server side is gone, the clients are not told: their bytes go nowhere for ever.

        `server_is_told`: that its clients are gone, as by a host that crashed and came back; else
        nobody is, as by a firewall that forgot the flow.
        """
        links = list(self._links)

        def forget() -> None:
            for link in links:
                link.half_open = True
                for task in link.tasks:
                    task.cancel()
                if server_is_told:
                    link.server.transport.abort()

        self._call(forget)
        return len(links)

    def reset_next_commit(self, moment: str, *, of: str = "") -> None:
        """Reset a connection at its next COMMIT: `before` it arrives, or `after` it was done.

        `of`: only a connection of this application (as Postgres knows it); empty is any.
        """

        def arm() -> None:
            self._resets_commit, self._of_application = moment, of
            for link in self._links:
                link.commit_seen = False

        self._call(arm)

    def calm(self) -> None:
        """Behave from now on."""
        self.latency_s, self.drip_bytes, self.refuses = 0.0, 0, False
        self.reset_next_commit("")
        self.swallow(on=False)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        links = list(self._links)
        for link in links:
            link.reset()
        tasks = [task for link in links for task in link.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writers = [writer for link in links for writer in (link.client, link.server)]
        await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self.target_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, server_writer)
        self._links.add(link)
        link.tasks = [
            asyncio.create_task(self._pump(link, reader, server_writer, from_client=True)),
            asyncio.create_task(self._pump(link, server_reader, writer, from_client=False)),
        ]
        for task in link.tasks:
            task.add_done_callback(lambda _: self._ended(link))

    def _ended(self, link: Link) -> None:
        """A side that ended ends the other one, unless the link was made half open."""
        if all(task.done() for task in link.tasks) and not link.half_open:
            self._links.discard(link)
            link.client.close()
            link.server.close()

    async def _pump(
        self,
        link: Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        from_client: bool,
    ) -> None:
        with suppress(OSError):  # a side that is gone ends the link
            while chunk := await reader.read(_CHUNK):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                while not self._flowing.is_set():  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(_DRIP_S)
                if self._at_commit(link, chunk, from_client=from_client):
                    link.reset()
                    return
                await self._write(writer, chunk)
        for other in (link.client, link.server):
            other.close()

    def _at_commit(self, link: Link, chunk: bytes, *, from_client: bool) -> bool:
        """Whether this is the moment to reset: the COMMIT itself, or the answer to it."""
        if from_client:
            if found := _APPLICATION.search(chunk):
                link.application = found[1].decode()
            link.commit_seen = link.commits(chunk)
        moment = self._resets_commit
        at_moment = moment and link.commit_seen and from_client == (moment == "before")
        if not at_moment or self._of_application not in {"", link.application}:
            return False
        self._resets_commit = ""
        self.commits_reset[link.application, moment] += 1
        return True

    async def _write(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        step = self.drip_bytes or len(chunk)
        for start in range(0, len(chunk), step):
            writer.write(chunk[start : start + step])
            await writer.drain()
            if self.drip_bytes:
                await asyncio.sleep(_DRIP_S)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_TIMEOUT_S)

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        self._do(call())

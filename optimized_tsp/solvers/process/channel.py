"""The parent's end of the socket to a solver child."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import orjson

from optimized_tsp.solvers.process.messages import FRAME_HEAD, Kind, SolverCrashed, frame_head

__all__ = ["Channel"]

_LARGEST_FRAME = 2**32


class Channel:
    """Frames over a socket without ever blocking the event loop, whatever their size.

    One task may receive while others send; a cancelled receive leaves half a frame behind, after
    which the channel is only good for closing.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._sending = asyncio.Lock()

    async def send(self, kind: Kind, body: bytes = b"") -> None:
        """Send a frame; raise ConnectionError when the peer is gone."""
        loop = asyncio.get_running_loop()
        async with self._sending:
            await loop.sock_sendall(self._sock, frame_head(kind, len(body)))
            await loop.sock_sendall(self._sock, body)

    async def receive(self) -> tuple[Kind, dict[str, Any]]:
        """Receive a JSON frame; raise EOFError or ConnectionError when the peer is gone.

        Raises `SolverCrashed` when the peer sends what no sane peer would.
        """
        kind, size = FRAME_HEAD.unpack(await self._exactly(FRAME_HEAD.size))
        if size > _LARGEST_FRAME:
            raise SolverCrashed("the solver sent a message that nobody can read")
        body = await self._exactly(size)
        try:
            return Kind(kind), orjson.loads(body)
        except ValueError as error:
            raise SolverCrashed("the solver sent a message that nobody can read") from error

    def is_closed_by_peer(self) -> bool:
        """Whether the peer of a silent channel is gone."""
        try:
            return self._sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        self._sock.close()

    async def _exactly(self, size: int) -> bytearray:
        loop = asyncio.get_running_loop()
        buffer = bytearray(size)
        view = memoryview(buffer)
        filled = 0
        while filled < size:
            received = await loop.sock_recv_into(self._sock, view[filled:])
            if received == 0:
                raise EOFError
            filled += received
        return buffer

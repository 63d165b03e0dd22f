"""Uvicorn's websocket protocol, with an end for peers that stopped reading.

A peer whose TCP window is closed keeps its connection, our buffers and the handler that wants to
send alive for as long as it likes: closing waits for the buffers to drain, and websocket pings wait
behind the data. Only a reset ends that.
"""

from __future__ import annotations

import logging
import socket
import struct
from asyncio.transports import BaseTransport, Transport
from typing import Any, TypedDict

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import PayloadTooBig
from websockets.protocol import State

from optimized_tsp.core.errors import ServiceError
from optimized_tsp.live.frames import error_frame, websocket_frame
from optimized_tsp.live.messages import MAX_MESSAGE_BYTES

__all__ = [
    "NUMBER_EXTENSION",
    "RESET_EXTENSION",
    "WRITE_EXTENSION",
    "FeedProtocol",
    "WebSocketOptions",
    "Writer",
    "websocket_options",
]

RESET_EXTENSION = "optimized_tsp.reset"
"""The key in `scope["extensions"]` under which handlers find a function that resets."""
WRITE_EXTENSION = "optimized_tsp.write"
"""The key under which they find the `Writer` of the connection."""
NUMBER_EXTENSION = "optimized_tsp.number"
"""The key under which they find which number its socket has among this process's open files."""

_SEND_BUFFER_BYTES = 128 * 1024
_UNANSWERED_MS = 25_000
_CLOSE_TIMEOUT_S = 10.0
_QUIET_S = 1.0
_SHUTDOWN_TIMEOUT_S = 1.0
_LINGER_NOT = struct.pack("ii", 1, 0)


class WebSocketOptions(TypedDict):
    """Options of `uvicorn.Config` and `uvicorn.run` that the feed needs."""

    ws: type[FeedProtocol]
    ws_max_size: int
    ws_per_message_deflate: bool
    ws_ping_interval: None
    timeout_graceful_shutdown: int


def websocket_options() -> WebSocketOptions:
    """How uvicorn must be run.

    Compression costs each connection hundreds of kilobytes. Uvicorn's pings close a slow reader
    before we can say 4008; ours and `TCP_USER_TIMEOUT` find a dead peer.
    """
    return WebSocketOptions(
        ws=FeedProtocol,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        timeout_graceful_shutdown=2,
    )


class MessageTooLarge(ServiceError):
    """A client's message is larger than the limit."""

    status = 413
    code = "message-too-large"
    title = "The message is too large."

    def __init__(self) -> None:
        super().__init__(
            f"A message may have at most {MAX_MESSAGE_BYTES} bytes; submit larger problems with "
            "POST /{name}_solver/{version}/jobs."
        )

    def extensions(self) -> dict[str, Any]:
        return {"limit_bytes": MAX_MESSAGE_BYTES}


class Writer:
    """Writes whole frames to one connection without the steps of ASGI between.

    `ready` is kept by the protocol: the connection is open and the transport below its high-water
    mark. It stands in an object of its own, as a hand-out to 10,000 clients spends most of its
    time waiting for memory: it should touch little of it.
    """

    __slots__ = ("_transport", "ready")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.ready = False

    def write(self, wire: bytes) -> bool:
        """Write frames (`websocket_frame`) if that need not wait; says whether it did.

        False means that nothing was written: the peer has not taken what was written before, or
        the connection is not open. ASGI's `send` then waits, or raises.
        """
        if not self.ready:
            return False
        self._transport.write(wire)  # it may be ready no more after this
        return True


class FeedProtocol(WebSocketsSansIOProtocol):
    """Bounded in memory and time, whatever the peer does or does not."""

    _refused_until: float | None = None
    _number = -1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Uvicorn has two lines of its own for every connection; ours are `Connection`'s.
        self.logger = self.conn.logger = logging.getLogger("websockets")

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self._writer = Writer(self.transport)
        peer: socket.socket | None = transport.get_extra_info("socket")
        if peer is not None:
            self._number = peer.fileno()
        if peer is not None and peer.family in {socket.AF_INET, socket.AF_INET6}:
            # The kernel would buffer megabytes for somebody who reads nothing.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)

    async def run_asgi(self) -> None:
        extensions: dict[str, dict[object, object]] = self.scope["extensions"] or {}
        extensions[RESET_EXTENSION] = {"reset": self.reset}
        extensions[WRITE_EXTENSION] = {"writer": self._writer}
        extensions[NUMBER_EXTENSION] = {"number": self._number}
        await super().run_asgi()

    def _note_state(self) -> None:
        """Whenever the state may have changed."""
        self._writer.ready = (
            self.conn.state is State.OPEN
            and self.writable.is_set()
            and not self.transport.is_closing()
        )

    def pause_writing(self) -> None:
        super().pause_writing()
        self._note_state()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._note_state()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writer.ready = False
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        try:
            await super().send(message)
        except RuntimeError:  # a peer that broke the protocol was told so while this waited
            if not self.close_sent:
                raise
            raise ClientDisconnected from None
        self._note_state()
        if message["type"] == "websocket.close" and self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(_CLOSE_TIMEOUT_S, self._end)

    def data_received(self, data: bytes) -> None:
        if self._refused_until is None:
            super().data_received(data)
            self._note_state()
        else:
            self._end_when_quiet()

    def handle_parser_exception(self) -> None:
        """Explain a message that is too large before closing with 1009."""
        if not isinstance(self.conn.parser_exc, PayloadTooBig):
            super().handle_parser_exception()
            return
        self.transport.write(websocket_frame(error_frame(MessageTooLarge())))
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1009})
        # A connection that is closed with something unread is reset, and the peer loses what we
        # said: the rest of the message is read and dropped.
        self._refused_until = self.loop.time() + _CLOSE_TIMEOUT_S
        self._end_when_quiet()

    def _end_when_quiet(self) -> None:
        if self._refused_until is not None:
            if self.close_timer is not None:
                self.close_timer.cancel()
            end = min(self.loop.time() + _QUIET_S, self._refused_until)
            self.close_timer = self.loop.call_at(end, self._end)

    def shutdown(self) -> None:
        """Say 1012 and leave the peer a moment to take it."""
        if self._refused_until is None:
            super().shutdown()
        self._writer.ready = False
        self.loop.call_later(_SHUTDOWN_TIMEOUT_S, self.reset)

    def _end(self) -> None:
        """End the connection of a peer that did not answer our close."""
        if self.transport.get_write_buffer_size() == 0:
            self.transport.close()
        else:
            self.reset()

    def reset(self) -> None:
        """End the connection now; the peer sees a reset. What waits to be sent is dropped."""
        if self.disconnected:
            return
        peer: socket.socket | None = self.transport.get_extra_info("socket")
        if peer is not None and peer.fileno() >= 0:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._writer.ready = False
        self.transport.abort()

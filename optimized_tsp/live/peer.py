"""The client at the other end of a websocket: what it says, what it is sent, how it is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from optimized_tsp.core.errors import InputProblem, InvalidInput
from optimized_tsp.live.frames import websocket_frame
from optimized_tsp.live.messages import ClientMessage, parse_message
from optimized_tsp.live.protocol import Writer

__all__ = ["Gone", "Peer"]

# A socket that takes nothing for this long is reset.
STALLED_S = 25.0


class Gone(Exception):
    """The client is not there any more."""


class Peer:
    """One client's websocket, not yet accepted.

    Args:
        websocket: what the server gave us.
        reset: ends its TCP connection at once.
        writer: writes whole frames when that need not wait.
    """

    def __init__(self, websocket: WebSocket, reset: Callable[[], None], writer: Writer) -> None:
        self.writer = writer
        self._websocket = websocket
        self._reset = reset
        self._waiting_since: float | None = None
        self.sent_away: int | str | None = None
        """The close code, or "reset", if it was we who ended the connection."""

    async def accept(self) -> None:
        """Answer the handshake; raises `Gone`."""
        try:
            await self._websocket.accept()
        except (OSError, WebSocketDisconnect):
            raise Gone from None

    async def receive(self) -> ClientMessage:
        """The next message; raises `Gone`, and `InvalidInput` as `parse_message` does."""
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise Gone
        text = received.get("text")
        if text is None:
            raise InvalidInput(
                "The message is binary.",
                [InputProblem("", "not_text", "must be a text message with a JSON object")],
            )
        return parse_message(text)

    async def send(self, text: str) -> None:
        """Send a message as soon as the socket takes it; raises `Gone`."""
        # What waits already is not overtaken.
        if self._waiting_since is None and self.writer.write(websocket_frame(text)):
            return
        if self._websocket.application_state is not WebSocketState.CONNECTED:
            raise Gone
        if self._waiting_since is None:
            self._waiting_since = _now()
        try:
            async with asyncio.timeout(STALLED_S):
                await self._websocket.send_text(text)
        except TimeoutError:
            self._cut()
            raise Gone from None
        except WebSocketDisconnect:
            raise Gone from None
        self._waiting_since = None

    async def close(
        self,
        code: int,
        reason: str,
        last_frame: str | None = None,
        *,
        within_s: float | None = None,
    ) -> None:
        """Say why and close; a client that does not take that in time is reset.

        `within_s`: seconds, of which those count that it has not taken anything; as many as for
        whatever else it is sent, if not given.
        """
        if self._websocket.application_state is not WebSocketState.CONNECTED:
            return
        self.sent_away = code
        deadline = (self._waiting_since or _now()) + (STALLED_S if within_s is None else within_s)
        try:
            async with asyncio.timeout_at(deadline):
                if last_frame is not None:
                    await self._websocket.send_text(last_frame)
                await self._websocket.close(code, reason)
        except TimeoutError:
            self._cut()
        except WebSocketDisconnect:
            pass

    def _cut(self) -> None:
        self.sent_away = "reset"
        self._reset()


def _now() -> float:
    return asyncio.get_running_loop().time()

"""One websocket client: what it says, what it is sent, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Never

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from optimized_tsp.core.errors import InputProblem, InvalidInput, ServiceError, ServiceUnavailable
from optimized_tsp.events.filter import EventFilter
from optimized_tsp.live.feed import Feed
from optimized_tsp.live.messages import (
    PING,
    PONG,
    ClientMessage,
    Ping,
    Subscribe,
    error_frame,
    expired_frame,
    parse_message,
    subscribed_frame,
)
from optimized_tsp.live.outbox import Frame, Outbox
from optimized_tsp.live.subscription import CursorExpired, check_cursor, check_job

__all__ = ["Connection"]

logger = structlog.get_logger(__name__)

BAD_REQUEST = 4400
SLOW_READER = 4008
TRY_AGAIN_LATER = 1013
INTERNAL_ERROR = 1011
_RESUME = "resume from your cursor"

FIRST_MESSAGE_S = 1.0
PING_INTERVAL_S = 20.0
# A socket that takes nothing for this long is reset.
STALLED_S = 25.0
# How many frames are sent in one go before others get their turn.
_BURST = 100


class _Gone(Exception):
    """The client is not there any more."""


class _TooSlow(Exception):
    """The client reads more slowly than its events arrive."""


class Connection:
    """Serves one client until it leaves or has to be sent away.

    Args:
        feed: where events come from.
        websocket: not yet accepted.
        scope: the events this client may see at all.
        reset: ends the TCP connection at once.
    """

    def __init__(
        self, feed: Feed, websocket: WebSocket, scope: EventFilter, reset: Callable[[], None]
    ) -> None:
        self._feed = feed
        self._websocket = websocket
        self._scope = scope
        self._reset = reset
        self._waiting_since: float | None = None
        self._outbox = Outbox(scope)
        self._stream_task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Accept the client and serve it to the end; raises `ServiceUnavailable` before that."""
        # Before the client knows that it is connected: what it does next must not be missed.
        start = await self._feed.now()
        upto = self._feed.join(self._outbox, after=start, now=start)
        try:
            await self._websocket.accept()
            async with asyncio.TaskGroup() as tasks:
                self._stream_task = tasks.create_task(self._stream_by_default(start, upto))
                tasks.create_task(self._ping())
                await self._listen(tasks)
        except* (_Gone, WebSocketDisconnect):
            pass
        except* (_TooSlow, ServiceError) as group:
            await self._send_away(group.exceptions[0])
        except* Exception as group:
            logger.exception("live_connection_failed", exc_info=group)
            await self._close(INTERNAL_ERROR, "an error of ours; " + _RESUME)
        finally:
            self._feed.leave(self._outbox)

    async def _listen(self, tasks: asyncio.TaskGroup) -> Never:
        # Whoever only sends never notices that the client has left: this always reads.
        while True:
            message = await self._receive()
            if isinstance(message, Ping):
                await self._send(PONG)
            elif isinstance(message, Subscribe):
                await self._stop_stream()
                self._stream_task = tasks.create_task(self._stream_as_asked(message))

    async def _receive(self) -> ClientMessage:
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise _Gone
        text = received.get("text")
        if text is None:
            raise InvalidInput(
                "The message is binary.",
                [InputProblem("", "not_text", "must be a text message with a JSON object")],
            )
        return parse_message(text)

    async def _stop_stream(self) -> None:
        if self._stream_task is not None:
            self._stream_task.cancel()
            await asyncio.wait([self._stream_task])
        self._feed.leave(self._outbox)

    async def _ping(self) -> Never:
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            await self._send(PING)

    async def _stream_by_default(self, start: int, upto: int) -> None:
        """Everything from the moment of connecting, for a client that says nothing at first."""
        await asyncio.sleep(FIRST_MESSAGE_S)
        await self._stream(start, upto)

    async def _stream_as_asked(self, message: Subscribe) -> None:
        wanted = replace(self._scope, task_id=message.task_id, tag=message.key_and_value)
        try:
            async with self._feed.reading() as session:
                await check_job(session, wanted)
                if message.position is not None:
                    await check_cursor(session, message.position)
            now = await self._feed.now()
            start = now if message.position is None else message.position
            self._outbox = Outbox(wanted)
            upto = self._feed.join(self._outbox, after=start, now=now)
            await self._stream(start, upto)
        except CursorExpired as expired:
            self._feed.leave(self._outbox)
            await self._send(expired_frame(expired.oldest))

    async def _stream(self, position: int, upto: int) -> Never:
        """Send the wanted events behind `position`; the outbox is open from `upto` on."""
        outbox = self._outbox
        await self._send(subscribed_frame(position))
        while True:
            await self._replay(outbox.wanted, position, upto)
            position = await self._send_live(outbox, max(position, upto))
            upto = self._feed.join(outbox, after=position, now=position)

    async def _replay(self, wanted: EventFilter, position: int, upto: int) -> None:
        async for frames in self._feed.replay(wanted, after=position, upto=upto):
            for frame in frames:
                await self._send(frame.text)

    async def _send_live(self, outbox: Outbox, position: int) -> int:
        """Send what the feed puts into the outbox; when that overflowed, return how far we are."""
        sent = 0
        while (frame := await outbox.take()) is not None:
            await self._send_from(outbox, frame)
            position = frame.position
            sent += 1
            if sent % _BURST == 0:
                await asyncio.sleep(0)
        return position

    async def _send_from(self, outbox: Outbox, frame: Frame) -> None:
        outbox.held_up = True  # seen by others only if the socket makes us wait
        await self._send(frame.text)
        outbox.held_up = False
        if outbox.too_slow:
            raise _TooSlow

    async def _send(self, text: str) -> None:
        if self._waiting_since is None:
            self._waiting_since = _now()
        try:
            async with asyncio.timeout(STALLED_S):
                await self._websocket.send_text(text)
        except TimeoutError:
            self._reset()
            raise _Gone from None
        self._waiting_since = None

    async def _send_away(self, error: BaseException) -> None:
        if isinstance(error, ServiceUnavailable):
            await self._close(TRY_AGAIN_LATER, _RESUME, error_frame(error))
        elif isinstance(error, ServiceError):
            await self._close(BAD_REQUEST, error.title, error_frame(error))
        else:
            await self._close(SLOW_READER, _RESUME)

    async def _close(self, code: int, reason: str, last_frame: str | None = None) -> None:
        if self._websocket.application_state is not WebSocketState.CONNECTED:
            return
        deadline = (self._waiting_since or _now()) + STALLED_S
        try:
            async with asyncio.timeout_at(deadline):
                if last_frame is not None:
                    await self._websocket.send_text(last_frame)
                await self._websocket.close(code, reason)
        except TimeoutError:
            self._reset()
        except WebSocketDisconnect:
            pass


def _now() -> float:
    return asyncio.get_running_loop().time()

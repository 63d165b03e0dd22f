"""One websocket client: how it comes in, what it asks for, how it ends."""

from __future__ import annotations

import asyncio
import time
from typing import Never

import structlog

from optimized_tsp.core.errors import (
    InputProblem,
    InvalidInput,
    ServiceError,
    ServiceUnavailable,
    StateConflict,
    Unauthorized,
)
from optimized_tsp.core.outages import is_outage
from optimized_tsp.events.filter import EventFilter
from optimized_tsp.jobs.services import Services
from optimized_tsp.live.feed import Feed, database_trouble
from optimized_tsp.live.frames import PING, PONG, error_frame
from optimized_tsp.live.logs import Logs
from optimized_tsp.live.messages import (
    Auth,
    InvalidRequest,
    Ping,
    Request,
    SubmitJob,
    Subscribe,
)
from optimized_tsp.live.peer import Gone, Peer
from optimized_tsp.live.requests import Requests
from optimized_tsp.live.stream import Stream, TooSlow
from optimized_tsp.live.subscription import jobs_of

__all__ = ["Connection"]

logger = structlog.get_logger(__name__)

SLOW_READER = 4008
BAD_REQUEST = 4400
UNAUTHORIZED = 4401
TRY_AGAIN_LATER = 1013
INTERNAL_ERROR = 1011
_RESUME = "resume from your cursor"

AUTH_S = 5.0
PING_INTERVAL_S = 20.0
# A revoked key ends its connections within 60 s: after this, the 20 s for which a key is
# remembered to be good, and the time for the last message.
KEY_CHECK_S = 25.0
_LAST_WORD_S = 5.0


class Connection:
    """Serves one client until it leaves or has to be sent away.

    Args:
        services: what the REST calls work with, too.
        feed: where events come from.
        peer: the client, not yet accepted.
        solver: name and version, when the client may only see one solver's jobs.
        key: what the client presented in a header; without it a required key is waited for.
    """

    def __init__(
        self,
        services: Services,
        feed: Feed,
        peer: Peer,
        *,
        solver: tuple[str, str] | None,
        key: str | None,
    ) -> None:
        self._services = services
        self._authenticator = services.authenticator
        self._feed = feed
        self._peer = peer
        self._solver = solver
        self._key = key

    async def run(self) -> None:
        """Serve the client to the end; raises `ServiceError` before it is accepted."""
        key_to_come = self._key is None and self._authenticator.required
        # Before the client knows that it is connected: what it does next must not be missed.
        client = None if key_to_come else await self._admit()
        self._feed.clients += 1
        began = time.perf_counter()
        try:
            await self._peer.accept()
            if client is None:
                self._key = await self._presented_key()
                client = await self._admit()
            await self._serve(*client)
        except* Gone:
            pass
        except* (TooSlow, ServiceError) as group:
            await self._send_away(group.exceptions[0])
        except* Exception as group:
            logger.exception("live_connection_failed", exc_info=group)
            await self._peer.close(INTERNAL_ERROR, "an error of ours; " + _RESUME)
        finally:
            self._feed.clients -= 1
            self._tell(time.perf_counter() - began)
            if client is not None:
                stream, requests = client
                stream.close()
                await requests.finish()

    def _tell(self, took_s: float) -> None:
        """One line for the whole connection; that a client leaves is nothing special."""
        sent_away = self._peer.sent_away
        say = logger.debug if sent_away is None else logger.info
        say("feed_closed", sent_away=sent_away, s=round(took_s, 1))

    async def _admit(self) -> tuple[Stream, Requests]:
        with database_trouble():
            tenant_id = await self._authenticator.tenant_of(self._key)
        scope = EventFilter(tenant_id, solver=self._solver)
        stream = Stream(self._feed, scope, self._peer.send, self._peer.writer)
        await stream.open()
        return stream, Requests(self._services, jobs_of(scope), stream, self._peer.send)

    async def _presented_key(self) -> str:
        try:
            async with asyncio.timeout(AUTH_S):
                message = await self._peer.receive()
        except TimeoutError:
            message = None
        if not isinstance(message, Auth):
            raise Unauthorized(
                'Send {"type":"auth","key":"<key>"} as the first message, within '
                f"{AUTH_S:g} seconds, or the header 'Authorization: Bearer <key>'."
            )
        return message.key

    async def _serve(self, stream: Stream, requests: Requests) -> None:
        async with asyncio.TaskGroup() as tasks:
            stream.begin(tasks)
            tasks.create_task(self._ping())
            if self._authenticator.required:
                tasks.create_task(self._watch_key())
            await self._listen(tasks, stream, requests)

    async def _listen(self, tasks: asyncio.TaskGroup, stream: Stream, requests: Requests) -> Never:
        services = self._services
        logs = Logs(services.database, services.waiters, stream.jobs, self._peer.send)
        # Whoever only sends never notices that the client has left: this always reads.
        while True:
            try:
                message = await self._peer.receive()
            except InvalidRequest as error:
                await self._peer.send(error_frame(error, error.request_id))
                continue
            match message:
                case Ping():
                    await self._peer.send(PONG)
                case Subscribe():
                    await stream.subscribe(message)
                    logs.subscribe(tasks, message)
                case SubmitJob():
                    await stream.expect_jobs()
                    await self._submit(tasks, message, requests, logs)
                case Request():
                    await requests.begin(message)
                case Auth():
                    self._refuse_other(message.key)

    async def _submit(
        self, tasks: asyncio.TaskGroup, message: SubmitJob, requests: Requests, logs: Logs
    ) -> None:
        try:
            log = logs.expect(tasks) if message.log else None
        except StateConflict as error:
            await self._peer.send(error_frame(error, message.id))
        else:
            await requests.begin(message, log)

    def _refuse_other(self, key: str) -> None:
        if self._authenticator.required and key != self._key:
            raise InvalidInput(
                "This connection has its key already; connect again to use another one.",
                [InputProblem("/key", "other_key", "must be the key the connection began with")],
            )

    async def _ping(self) -> Never:
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            await self._peer.send(PING)

    async def _watch_key(self) -> Never:
        while True:
            await asyncio.sleep(KEY_CHECK_S)
            try:
                await self._authenticator.tenant_of(self._key)
            except Exception as error:
                # A database that does not answer has revoked nothing (the feed's reader says so).
                if not is_outage(error):
                    raise

    async def _send_away(self, error: BaseException) -> None:
        match error:
            case ServiceUnavailable():
                await self._peer.close(TRY_AGAIN_LATER, _RESUME, error_frame(error))
            case Unauthorized():
                frame = error_frame(error)
                await self._peer.close(UNAUTHORIZED, error.title, frame, within_s=_LAST_WORD_S)
            case ServiceError():
                await self._peer.close(BAD_REQUEST, error.title, error_frame(error))
            case _:
                await self._peer.close(SLOW_READER, _RESUME)

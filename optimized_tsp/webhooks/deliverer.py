"""Sends what is owed: looks for due deliveries, makes attempts side by side, records each."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

import optimized_tsp
from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.insist import insist
from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.tasks import end_tasks
from optimized_tsp.core.totals import Tally
from optimized_tsp.core.tracing import NoTracing, SpanKind, Tracing
from optimized_tsp.webhooks import claims, outcomes
from optimized_tsp.webhooks.address import AddressPolicy, RefusedAddress
from optimized_tsp.webhooks.claims import Claimed, Found
from optimized_tsp.webhooks.looks import check_plans
from optimized_tsp.webhooks.outbox import message_id
from optimized_tsp.webhooks.outcomes import Delivered, Failure
from optimized_tsp.webhooks.resolve import SystemResolver
from optimized_tsp.webhooks.schedule import Schedule, retry_after_s
from optimized_tsp.webhooks.secrets import SecretBox
from optimized_tsp.webhooks.signing import message_body, signed_headers
from optimized_tsp.webhooks.transport import Answer, NoAnswer, Transport

__all__ = ["Deliverer", "Pace", "make_deliverer"]

logger = structlog.get_logger(__name__)

ATTEMPT_S = 15.0
"""An attempt takes at most so long: resolving, connecting, TLS, sending, the answer."""

_USER_AGENT = f"optimized-tsp/{optimized_tsp.__version__} (webhooks)"
# Of the worker's five connections: renewing a lease never waits for a thousand recordings.
_CONNECTIONS = 2
_UNSIGNED_AGAIN_S = 60.0
_GIVE_BACK_S = 1.0
# Looking takes at most a quarter of the time, however much there is to look through.
_REST = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a deliverer goes. Times in seconds."""

    at_once: int = 128
    """Attempts under way in this process."""
    lease_s: float = 2 * ATTEMPT_S
    """An attempt, and time to record it."""
    look_every_s: float = 1.0
    """Looks into Postgres even if nobody rings."""
    rest_busy_s: float = 0.01
    rest_idle_s: float = 0.1
    """Between two looks, after one that found something or nothing: rings come in crowds."""
    check_every_s: float = 10.0
    """Looks whether it overlooks something (`check_plans`)."""
    grace_s: float = 1.5
    """For attempts under way when the process is to stop; then they are broken off."""


def make_deliverer(
    settings: Settings,
    database: Database,
    authorities: ssl.SSLContext,
    tally: Tally,
    tracing: Tracing,
) -> Deliverer:
    """The deliverer of these settings; `authorities` are `trusted_authorities`."""
    transport = Transport(
        AddressPolicy.from_settings(settings),
        authorities,
        SystemResolver(),
        timeout_s=ATTEMPT_S,
    )
    box = SecretBox.from_settings(settings)
    schedule = Schedule(settings.webhook_retry_delays_s)
    return Deliverer(database, transport, box, schedule, Pace(), tally, tracing)


class Deliverer:
    """One process's part in delivering; any number of them work side by side."""

    def __init__(
        self,
        database: Database,
        transport: Transport,
        box: SecretBox,
        schedule: Schedule,
        pace: Pace,
        tally: Tally | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """`tally` counts attempts by their result, `tracing` has a span for each."""
        self._tally = tally or Tally()
        self._tracing = tracing or NoTracing()
        self._database = database
        self._transport = transport
        self._box = box
        self._schedule = schedule
        self._pace = pace
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        self._woken = asyncio.Event()
        self._looking = asyncio.Lock()
        self._stopping = False
        self._attempts: dict[asyncio.Task[None], Claimed] = {}
        self._delivered: list[Delivered] = []
        self._with_room: set[UUID] = set()
        self._complain_at = time.monotonic()
        self._checked_to = UUID(int=0)
        self._check_at = time.monotonic() + pace.check_every_s

    def wake(self, _: UUID | None = None) -> None:
        """Something may be due: look now instead of within a second."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until `stop`."""
        while not self._stopping:
            self._woken.clear()
            begun = time.monotonic()
            async with self._looking:
                found = await self._look()
                await self._check()
            rest_s = self._pace.rest_busy_s if found else self._pace.rest_idle_s
            await asyncio.sleep(max(rest_s, _REST * (time.monotonic() - begun)))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.look_every_s):
                    await self._woken.wait()

    async def stop(self) -> None:
        """Claim nothing more, let attempts end for a moment, give the others back."""
        self._stopping = True
        self.wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.grace_s):
                async with self._looking:  # a claim under way is ours to give back
                    pass
                if self._attempts:
                    await asyncio.wait(self._attempts)
        broken_off = dict(self._attempts)
        await end_tasks(broken_off)
        if broken_off or self._delivered:
            await self._give_back(list(broken_off.values()))

    async def _look(self) -> int:
        """Record what was delivered, start an attempt for all that is due and has room here."""
        delivered, self._delivered = self._delivered, []
        room = 0 if self._stopping else self._pace.at_once - len(self._attempts)
        with_room: set[UUID] = set()
        if room > 0:
            with_room, self._with_room = self._with_room, with_room
        try:
            async with self._connections, self._database.write() as session:
                found = await self._record_and_claim(session, delivered, with_room, room)
        except Exception as error:
            self._delivered += delivered
            self._with_room |= with_room
            if not is_outage(error):
                raise
            logger.warning("database_unavailable", effect="no webhooks", error=repr(error))
            return 0
        for claimed in found.claimed:
            attempt = asyncio.create_task(self._deliver(claimed))
            self._attempts[attempt] = claimed
            attempt.add_done_callback(self._ended)
        if found.more:
            self.wake()
        return len(found.claimed)

    async def _record_and_claim(
        self,
        session: WriteSession,
        delivered: list[Delivered],
        with_room: set[UUID],
        room: int,
    ) -> Found:
        """One transaction for a crowd: a busy deliverer costs little more than an idle one."""
        if delivered:
            await outcomes.record_delivered(delivered, session=session)
        if room <= 0:
            return Found([])
        return await claims.claim_due(
            session,
            self._box,
            most=room,
            lease_s=self._pace.lease_s,
            under_way=self._attempts.values(),
            with_room=with_room,
        )

    async def _check(self) -> None:
        if time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + self._pace.check_every_s
        try:
            async with self._connections, self._database.write() as session:
                self._checked_to = await check_plans(session, self._checked_to)
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("database_unavailable", effect="no webhooks", error=repr(error))

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        claimed = self._attempts.pop(attempt)
        self._with_room.add(claimed.endpoint.id)
        self.wake()  # there is room again, here and at the endpoint
        if not attempt.cancelled() and (defect := attempt.exception()) is not None:
            # The delivery is due again when its lease has run out.
            logger.error("webhook_unrecorded", exc_info=defect, **_facts(claimed))

    async def _deliver(self, claimed: Claimed) -> None:
        """One attempt; its success is recorded with the next look."""
        with bound_contextvars(**_facts(claimed)):
            if not claimed.secrets:
                self._complain(claimed)
                await self._write(partial(claims.put_off, claimed, wait_s=_UNSIGNED_AGAIN_S))
                return
            begun = time.monotonic()
            outcome = await self._traced(claimed)
            duration_s = time.monotonic() - begun
            result = "delivered" if isinstance(outcome, int) else "failed"
            self._tally.count("webhook_attempts", result=result)
            if isinstance(outcome, int):
                self._delivered.append(Delivered(claimed, outcome, duration_s))
                return
            logger.info("webhook_failed", reason=outcome.error)
            await self._write(
                partial(outcomes.record_failure, claimed, outcome, duration_s, self._schedule)
            )

    def _complain(self, claimed: Claimed) -> None:
        """Now and then: what waits because of a missing key may be very much."""
        if time.monotonic() >= self._complain_at:
            self._complain_at = time.monotonic() + _UNSIGNED_AGAIN_S
            logger.error("webhooks_unsigned", reason=claimed.unsigned, effect="they wait")

    async def _traced(self, claimed: Claimed) -> int | Failure:
        """An attempt in a span of the job's trace; a test begins a trace of its own."""
        payload = claimed.payload
        with self._tracing.span(
            f"deliver {payload.get('type')}",
            kind=SpanKind.CLIENT,
            parent=payload.get("data", {}).get("traceparent"),
        ) as span:
            span.set(
                job=payload.get("task_id"),
                webhook=str(claimed.endpoint.id),
                delivery=message_id(claimed.id),
            )
            outcome = await self._attempt(claimed, span.traceparent)
            if isinstance(outcome, Failure):
                span.fail(outcome.error)
            status = outcome.status if isinstance(outcome, Failure) else outcome
            span.set(http__response__status_code=status)
        return outcome

    async def _attempt(self, claimed: Claimed, traceparent: str | None) -> int | Failure:
        """The status when it was a 2xx."""
        try:
            return _judged(await self._send(claimed, traceparent))
        except (NoAnswer, RefusedAddress) as error:
            return Failure(str(error))
        except Exception:
            # A delivery that breaks us follows the schedule too, and ends.
            logger.exception("webhook_defect")
            return Failure("An internal error; it was logged.")

    async def _send(self, claimed: Claimed, traceparent: str | None) -> Answer:
        body = message_body(claimed.payload)
        signed = signed_headers(
            message_id(claimed.id), body, secrets=claimed.secrets, at=datetime.now(UTC)
        )
        headers = {
            "User-Agent": _USER_AGENT,
            "Accept": "*/*",
            "Content-Type": "application/json",
            **signed,
        }
        if traceparent is not None:  # the receiver can go on with the trace (W3C Trace Context)
            headers["traceparent"] = traceparent
        return await self._transport.post(claimed.endpoint.url, headers, body)

    async def _write(self, work: Callable[..., Awaitable[None]]) -> None:
        async def once() -> None:
            async with self._connections, self._database.write() as session:
                await work(session=session)

        await insist(once, "record a webhook")

    async def _give_back(self, broken_off: list[Claimed]) -> None:
        try:
            async with asyncio.timeout(_GIVE_BACK_S), self._database.write() as session:
                if self._delivered:
                    await outcomes.record_delivered(self._delivered, session=session)
                await claims.give_back(broken_off, session=session)
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning(
                "database_unavailable", effect="webhooks wait for leases", error=repr(error)
            )


def _facts(claimed: Claimed) -> dict[str, str]:
    """What log lines about an attempt name; a test is about no job."""
    facts = {
        "request_id": claimed.request_id,
        "job": claimed.payload.get("task_id"),
        "delivery": message_id(claimed.id),
        "endpoint": str(claimed.endpoint.id),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _judged(answer: Answer) -> int | Failure:
    if 200 <= answer.status < 300:
        return answer.status
    redirect = " Redirects are not followed." if 300 <= answer.status < 400 else ""
    return Failure(
        f"The receiver answered {answer.status}.{redirect}",
        answer.status,
        retry_after_s(answer.retry_after),
    )

"""Connections to Postgres that look alive and are not: found, ended, and replaced.

A firewall that forgot a flow or a host that vanished tells nobody: what is sent goes nowhere, for
ever. Waiting does not tell that from a slow Postgres, so a statement without an answer for a second
has Postgres asked on a new connection: does it work on that one? (ADR 20.)
"""

from __future__ import annotations

import asyncio
import select
import socket
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.tasks import begin_shared, end_tasks

__all__ = ["LostConnections", "is_hung_up"]

logger = structlog.get_logger(__name__)

_PATIENCE_S = 1.0
_LOOK_EVERY_S = 0.25
# An answer that is under way when Postgres says that it gave it has so long to come.
_GRACE_S = 0.25
_GOODBYE_S = 1.0

# Where nobody can be asked (Postgres' whole host is gone), the system has to notice: at most so
# long may bytes stay unacknowledged. Keepalives find that out while nothing is sent, and keep
# firewalls from forgetting a flow that is idle, which most do after minutes.
_UNACKNOWLEDGED_MS = 15_000
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

# Errors are always told of; that the peer sends nothing more has a name of its own on Linux.
_HANGING_UP = getattr(select, "POLLRDHUP", 0)

# Whoever is not idle works for us, as far as one may see that. `own` tells poolers, whose process
# numbers mean nothing.
_WORKING = text("""
    SELECT pg_backend_pid() AS own, ARRAY(
        SELECT pid FROM pg_stat_activity
        WHERE pid = ANY(CAST(:pids AS integer[]))
          AND (coalesce(state, '') NOT LIKE 'idle%'
               OR state_change > clock_timestamp() - make_interval(secs => :idle_s))
    ) AS working
""")


@dataclass(eq=False, slots=True)
class _Wait:
    """A statement under way: since when, and when to ask Postgres about it; the loop's clock."""

    since: float
    ask_at: float


class LostConnections:
    """Watches the connections of one pool; `witness` makes new ones to the same Postgres."""

    def __init__(self, engine: AsyncEngine, witness: AsyncEngine) -> None:
        self._witness = witness
        self._waits: dict[Any, _Wait] = {}
        self._idle: dict[Any, float] = {}
        """Connections in the pool, and when Postgres last answered there."""
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        for name, listener in {
            "connect": _have_the_system_notice,
            "checkout": self._replace_if_lost,
            "checkin": self._rest,
            "close": self._forget,
            "before_cursor_execute": lambda connection, *_: self._begin(connection),
            "commit": self._begin,
            "rollback": self._begin,
            "after_cursor_execute": lambda connection, *_: self._end(connection),
            "handle_error": lambda context: self._end(context.connection),
        }.items():
            event.listen(engine.sync_engine, name, listener)

    def waits(self, driver: Any) -> None:
        """A statement was sent on a connection."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._waits[driver] = _Wait(now, now + _PATIENCE_S)
        if self._timer is None:
            self._timer = loop.call_later(_LOOK_EVERY_S, self._look)

    def answered(self, driver: Any) -> None:
        """The statement has ended in one way or another."""
        self._waits.pop(driver, None)

    async def close(self) -> None:
        """Watch no longer, and take leave of idle connections: one that is lost never answers."""
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            await end_tasks([self._asking])
        await asyncio.gather(*(_close(driver) for driver in list(self._idle)))
        await self._witness.dispose()

    def _replace_if_lost(self, connection: Any, *_: object) -> None:
        """Have the pool connect anew where an idle connection was ended, or has been lost since.

        SQLAlchemy's `pool_pre_ping` asks before every session, in three round trips; this asks
        where nothing was heard for a second, in one.
        """
        driver = connection.driver_connection
        heard_at = self._idle.pop(driver, None)
        if driver.is_closed() or is_hung_up(driver._transport):  # noqa: SLF001 - no other way
            raise DisconnectionError
        if heard_at is not None and _now() - heard_at > _PATIENCE_S:
            connection.run_async(self._ping)

    async def _ping(self, driver: Any) -> None:
        self.waits(driver)
        try:
            await driver.execute("SELECT")
        except Exception as error:
            if not is_outage(error):
                raise
            driver.terminate()  # the pool would wait for its answer to a polite end
            raise DisconnectionError from error
        finally:
            self.answered(driver)

    def _rest(self, connection: Any, *_: object) -> None:
        if connection is not None:  # the pool's word for one that was ended in use
            self.answered(connection.driver_connection)
            self._idle[connection.driver_connection] = _now()

    def _forget(self, connection: Any, *_: object) -> None:
        self.answered(connection.driver_connection)
        self._idle.pop(connection.driver_connection, None)

    def _begin(self, connection: Any) -> None:
        if not connection.invalidated:
            self.waits(connection.connection.driver_connection)

    def _end(self, connection: Any) -> None:
        if connection is not None and not connection.invalidated:
            self.answered(connection.connection.driver_connection)

    def _look(self) -> None:
        """Ask about what waits for long: after one second, two, four, ..."""
        self._timer = None
        if not self._waits:
            return
        now = _now()
        if self._asking is None or self._asking.done():
            silent = {
                driver: wait
                for driver, wait in self._waits.items()
                if now >= wait.ask_at and not driver.is_closed()
            }
            for wait in silent.values():
                wait.ask_at = now + (now - wait.since)
            if silent:
                pids = [driver.get_server_pid() for driver in silent]  # while they have one
                self._asking = begin_shared(self._end_the_lost(silent, pids))
        self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)

    async def _end_the_lost(self, silent: dict[Any, _Wait], pids: list[int]) -> None:
        """End those on which Postgres does nothing; whoever waits there gets an error at once."""
        try:
            working = await self._working(pids)
        except Exception as error:
            if is_outage(error):
                effect = "cannot tell slow from lost connections"
                logger.warning("database_unavailable", effect=effect, error=repr(error))
            else:
                logger.exception("lost_connections_not_found")
            return  # without an answer there is no verdict: all go on waiting
        await asyncio.sleep(_GRACE_S)
        lost = [
            driver
            for pid, (driver, wait) in zip(pids, silent.items(), strict=True)
            if pid not in working and self._waits.get(driver) is wait and not _has_news(driver)
        ]
        if lost:
            # What happened to one has most likely happened to the others.
            also = list(self._idle)
            for driver in (*lost, *also):
                driver.terminate()
            logger.warning("connections_lost", in_use=len(lost), idle=len(also))

    async def _working(self, pids: list[int]) -> set[int]:
        """Those of Postgres' processes that work for us, or did a moment ago; all if unknown.

        A network on which a new connection takes long lets statements look idle for as long, in
        between their steps.
        """
        begun = _now()
        async with self._witness.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            idle_s = _PATIENCE_S / 2 + _now() - begun
            parameters = {"pids": pids, "idle_s": idle_s}
            row = (await connection.execute(_WORKING, parameters)).one()
            return set(row.working if row.own == driver.get_server_pid() else pids)


def is_hung_up(transport: asyncio.Transport) -> bool:
    """Whether the peer closed a connection that the event loop had no time to look at since."""
    return _poll(transport, _HANGING_UP)


def _has_news(driver: Any) -> bool:
    """Whether something arrived that the event loop had no time to read."""
    return driver.is_closed() or _poll(driver._transport, select.POLLIN)  # noqa: SLF001 - as above


def _poll(transport: asyncio.Transport, events: int) -> bool:
    peer = transport.get_extra_info("socket")
    if peer is None or peer.fileno() < 0:  # under TLS it is gone before the driver is told
        return True
    poll = select.poll()
    poll.register(peer.fileno(), events)
    return bool(poll.poll(0))


def _have_the_system_notice(connection: Any, *_: object) -> None:
    peer = connection.driver_connection._transport.get_extra_info("socket")  # noqa: SLF001 - as above
    if peer.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**_KEEPALIVE, "TCP_USER_TIMEOUT": _UNACKNOWLEDGED_MS}.items():
        if (option := getattr(socket, name, None)) is not None:  # not on every system
            peer.setsockopt(socket.IPPROTO_TCP, option, value)


async def _close(driver: Any) -> None:
    try:
        await driver.close(timeout=_GOODBYE_S)
    except Exception as error:
        if not is_outage(error):
            raise
        driver.terminate()


def _now() -> float:
    return asyncio.get_running_loop().time()

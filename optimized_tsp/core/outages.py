"""Telling a database that is away for a while from a mistake of ours."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

__all__ = ["is_outage", "lost_is_said"]

# SQLSTATE classes (PostgreSQL manual, appendix A): connection, rollback by the server, resources
# (disk full), locks, operator (shutdown, restart, cancelled statement), system error.
_PASSING = frozenset({"08", "40", "53", "55", "57", "58"})
# A server that became a standby, or takes nothing more for want of room, is read-only (25006).
_PASSING_STATES = frozenset({"25P03", "25006"})  # 25P03: idle in a transaction for too long
_OF_THEIR_OWN = (
    RuntimeError,
    InvalidRequestError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_CLOSED_TWICE = "This connection is closed"


def is_outage(error: BaseException) -> bool:
    """Whether the same work may succeed later without anybody changing anything."""
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError) or _is_loss(error):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        error = error.orig or error
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return state[:2] in _PASSING or state in _PASSING_STATES
    return _is_loss(error.__cause__ or error)


def _is_loss(error: BaseException) -> bool:
    """Whether a library says in words of its own that a connection was lost."""
    if isinstance(error, RuntimeError):  # uvloop, when it is written to a moment later
        return "the handler is closed" in str(error)
    if isinstance(error, InvalidRequestError):  # the pool, when what it made anew is lost as well
        return _CLOSED_TWICE in str(error)
    if isinstance(error, asyncpg.InterfaceError):  # without a state: what it says of connections
        return "connection" in str(error).lower()
    # The driver, when it had a server's last words for an answer, or found no primary.
    return isinstance(error, asyncpg.InternalClientError)


@contextmanager
def lost_is_said() -> Generator[None]:
    """What libraries say of a lost connection in words of their own raises ConnectionResetError.

    For what speaks to Postgres or Redis: their errors and OSError is then all that an outage is.
    """
    try:
        yield
    except _OF_THEIR_OWN as error:
        if not _is_loss(error):
            raise
        raise ConnectionResetError("The connection was lost.") from error

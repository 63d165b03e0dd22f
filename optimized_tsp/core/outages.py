"""Telling a database that is away for a while from a mistake of ours."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

__all__ = ["is_outage", "lost_is_said"]

# SQLSTATE classes (PostgreSQL manual, appendix A): connection, rollback by the server, resources
# (disk full), locks, operator (shutdown, restart, cancelled statement), system error.
_PASSING = frozenset({"08", "40", "53", "55", "57", "58"})
_IDLE_IN_TRANSACTION = "25P03"


def is_outage(error: BaseException) -> bool:
    """Whether the same work may succeed later without anybody changing anything."""
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError) or _is_closed_handle(error):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        error = error.orig or error
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return state[:2] in _PASSING or state == _IDLE_IN_TRANSACTION
    # The driver's own errors carry no state; those about a connection are about a lost one.
    return (
        isinstance(error.__cause__ or error, asyncpg.InterfaceError)
        and "connection" in str(error).lower()
    )


def _is_closed_handle(error: BaseException) -> bool:
    """Whether uvloop was asked to write to a connection that has just been lost."""
    return isinstance(error, RuntimeError) and "the handler is closed" in str(error)


@contextmanager
def lost_is_said() -> Generator[None]:
    """Writing to a connection lost a moment ago raises ConnectionResetError: it is no defect.

    For what speaks to Postgres or Redis: uvloop's own error for this is known to no driver.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_closed_handle(error):
            raise
        raise ConnectionResetError("The connection was lost.") from error

"""Postgres: the engine, the two kinds of sessions, the base of all models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NewType
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import URL, DateTime, MetaData, NullPool, TextClause, Uuid, make_url
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase

from optimized_tsp.core.lost_connections import LostConnections
from optimized_tsp.core.outages import lost_is_said

__all__ = ["Base", "Database", "ReadSession", "WriteSession", "async_url"]

WriteSession = NewType("WriteSession", AsyncSession)
"""A session inside one transaction that commits when the block ends."""

ReadSession = NewType("ReadSession", AsyncSession)
"""A session for reading: handing it to a function that writes is a type error."""

_STATEMENT_TIMEOUT_MS = 30_000
# A frozen process that holds row locks must not hold up everybody else for long.
_IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000
_CONNECT_TIMEOUT_S = 5.0
# A server that vanished without a word never answers; one that lives ends statements before this.
_COMMAND_TIMEOUT_S = 35.0

_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword")
_SAID_BY_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Base(DeclarativeBase):
    """Base of every table; constraint names follow one rule, so that migrations can use them."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - the attribute SQLAlchemy reads
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        dict[str, Any]: JSONB(none_as_null=True),  # None is SQL's NULL, not JSON's
    }


def async_url(url: str) -> URL:
    """The same database address with the asyncpg driver, whatever scheme the operator wrote.

    What libpq calls its TLS parameters (`sslmode`, `sslrootcert`, ...) asyncpg knows in an address
    only, not as arguments, which SQLAlchemy makes of the query: they go along as an address.
    """
    there = make_url(url).set(drivername="postgresql+asyncpg")
    tls = {name: value for name, value in there.query.items() if name.startswith(_TLS)}
    if not tls:
        return there
    dsn = URL.create("postgresql", query=tls).render_as_string()
    return there.difference_update_query(tls).update_query_dict({"dsn": dsn})


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()


class _Row(asyncpg.Record):  # type: ignore[misc]  # it has no types
    """A row whose columns are attributes, as those of a session's rows are."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class _Native:
    """A statement as the driver takes it: numbered parameters, and how each is written."""

    def __init__(self, statement: TextClause, dialect: Any) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        types = {name: bind.type for name, bind in compiled.binds.items()}
        self._parameters: list[tuple[str, Callable[[Any], Any] | None]] = [
            (name, types[name].dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """The values in order."""
        return [
            given[name] if written is None else written(given[name])
            for name, written in self._parameters
        ]


class Database:
    """The connection pool of one process, and its sessions."""

    def __init__(self, url: str, *, pool_size: int = 5, application_name: str) -> None:
        self.engine: AsyncEngine = create_async_engine(
            async_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            hide_parameters=True,  # errors are logged: callers' data and hashes are not to be
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
            connect_args={
                "timeout": _CONNECT_TIMEOUT_S,
                "command_timeout": _COMMAND_TIMEOUT_S,
                "server_settings": {
                    "application_name": application_name,
                    "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
                    "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_TIMEOUT_MS),
                    "timezone": "UTC",
                    "jit": "off",
                },
            },
        )
        witness = create_async_engine(
            async_url(url),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "timeout": _CONNECT_TIMEOUT_S,
                "command_timeout": _CONNECT_TIMEOUT_S,
                "server_settings": {"application_name": f"{application_name} witness"},
            },
        )
        self._lost = LostConnections(self.engine, witness)
        self._natives: dict[TextClause, _Native] = {}
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._reading = async_sessionmaker(
            self.engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False
        )

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[WriteSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with lost_is_said():
            async with self._sessions() as session, session.begin():
                yield WriteSession(session)

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[ReadSession]:
        """A session for reading; each statement sees the newest committed state."""
        with lost_is_said():
            async with self._reading() as session:
                yield ReadSession(session)

    async def alone(self, statement: TextClause, parameters: Mapping[str, Any]) -> list[Any]:
        """Execute one statement that is a transaction by itself; its rows, as of a session.

        One round trip, and a quarter of the work of a session. Raises what a session would.
        """
        native = self._natives.get(statement)
        if native is None:
            native = self._natives[statement] = _Native(statement, self.engine.dialect)
        arguments = native.arguments(parameters)  # before a connection could be spoilt by them
        with lost_is_said():
            return await self._alone(native, arguments)

    async def _alone(self, native: _Native, arguments: list[Any]) -> list[Any]:
        async with self.engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            self._lost.waits(driver)
            try:
                rows: list[Any] = await driver.fetch(native.sql, *arguments, record_class=_Row)
            except _SAID_BY_DRIVER as error:
                raise DBAPIError(
                    native.sql,
                    None,
                    error,
                    hide_parameters=True,
                    connection_invalidated=driver.is_closed(),
                ) from error
            except BaseException:
                driver.terminate()  # whatever is under way there, nobody waits for it
                raise
            finally:
                self._lost.answered(driver)
            return rows

    async def close(self) -> None:
        """Close every connection."""
        await self._lost.close()
        await self.engine.dispose()

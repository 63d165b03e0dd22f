"""Bring a database to the present schema: roles, Alembic migrations, reporting views, grants."""

from __future__ import annotations

from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from optimized_tsp.core.database import async_url

__all__ = ["MissingRoles", "alembic_config", "run_migrations"]

logger = structlog.get_logger(__name__)

_MIGRATION_LOCK = 0x7473705F6D696772
_LOCK_TIMEOUT = "5s"
_OTHER_COLUMNS = "42P16"  # invalid_table_definition: a view keeps the columns it has
_HERE = Path(__file__).parent
_ROLES = ("optimized_tsp_owner", "optimized_tsp_app", "optimized_tsp_reporting")


class MissingRoles(Exception):
    """The roles of init.sql do not exist and this connection may not create them."""

    def __init__(self, roles: list[str]) -> None:
        self.sql = "\n".join(f"CREATE ROLE {role} LOGIN;" for role in roles)
        super().__init__(
            "These roles are missing and this user may not create them. "
            f"Ask a database administrator to run:\n{self.sql}"
        )


def migrations_folder() -> Path:
    """Where the migrations are: beside the package in a checkout, inside it when installed."""
    beside = _HERE.parents[1] / "migrations"
    return beside if (beside / "env.py").exists() else _HERE.parent / "migrations"


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration for this package."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def run_migrations(database_url: str) -> None:
    """Migrate, then recreate views and grants; safe to run at any time and by several at once.

    Raises `MissingRoles` when a database administrator has to act first.
    """
    engine = create_async_engine(async_url(database_url))
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})"))
            await connection.commit()
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


def _migrate(connection: Connection) -> None:
    _ensure_roles(connection)
    command.upgrade(alembic_config(connection), "head")
    connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS reporting")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    for path in sorted((_HERE / "views").glob("*.sql")):
        _put_view(connection, path)
    _run(connection, _HERE / "grants.sql")
    connection.commit()
    logger.info("migrated")


def _put_view(connection: Connection, path: Path) -> None:
    """Replace a view where its columns allow that, so that views of others on it stay."""
    try:
        with connection.begin_nested():
            _run(connection, path)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _OTHER_COLUMNS:
            raise
        connection.exec_driver_sql(f"DROP VIEW reporting.{path.stem}")
        _run(connection, path)


def _run(connection: Connection, path: Path) -> None:
    for statement in _statements(path.read_text(encoding="utf-8")):
        connection.exec_driver_sql(statement)


def _ensure_roles(connection: Connection) -> None:
    present = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    missing = [role for role in _ROLES if role not in present]
    try:
        for role in missing:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
    except ProgrammingError as error:
        connection.rollback()
        raise MissingRoles(missing) from error
    connection.commit()


def _statements(script: str) -> list[str]:
    """The statements of a file that has no semicolon inside a string or a body."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]

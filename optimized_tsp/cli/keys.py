"""`optimized-tsp keys create|list|revoke`: API keys, on the database itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
import typer

from optimized_tsp.cli.exit_codes import ExitCode, complain
from optimized_tsp.cli.settings import load_settings
from optimized_tsp.core.ids import new_id
from optimized_tsp.embedded.folder import running_stack

if TYPE_CHECKING:  # the command line starts without the database library
    from optimized_tsp.core.api_keys import ApiKey
    from optimized_tsp.core.database import Database

__all__ = ["keys_app"]

keys_app = typer.Typer(help="API keys: who may call a service that requires them.")

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for; you will see it in the list.")],
    *,
    tenant: Annotated[
        UUID | None, typer.Option(help="An existing tenant; default: a new one of its own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    from optimized_tsp.core.api_keys import create_key

    async def work(database: Database) -> tuple[ApiKey, str]:
        async with database.write() as session:
            return create_key(session, name=name, tenant_id=tenant or new_id())

    key, text = _run(work)
    if as_json:
        _print_json(_facts(key) | {"key": text})
        return
    sys.stderr.write(f"Key {key.prefix} of tenant {key.tenant_id}. It is shown only now:\n")
    sys.stdout.write(text + "\n")


@keys_app.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """Show every key, without its secret."""
    from optimized_tsp.cli.tables import Column, lay_out, terminal_width
    from optimized_tsp.core.api_keys import list_keys

    async def work(database: Database) -> list[ApiKey]:
        async with database.read() as session:
            return await list_keys(session)

    keys = _run(work)
    if as_json:
        _print_json([_facts(key) for key in keys])
        return
    rows = [
        [
            key.prefix,
            key.name,
            str(key.tenant_id),
            f"{key.created_at:%Y-%m-%d}",
            "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d}",
        ]
        for key in keys
    ]
    columns = [
        Column("KEY"),
        Column("NAME", least=8),
        Column("TENANT"),
        Column("CREATED"),
        Column("REVOKED"),
    ]
    sys.stdout.write("\n".join(lay_out(columns, rows, terminal_width())) + "\n")


@keys_app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="The eight characters after otsp_ (see list).")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a key worthless for good; open websockets of it end within a minute."""
    from optimized_tsp.core.api_keys import revoke_key

    async def work(database: Database) -> bool:
        async with database.write() as session:
            return await revoke_key(session, prefix)

    if not _run(work):
        complain(f"there is no key {prefix}; see `optimized-tsp keys list`")
        raise typer.Exit(ExitCode.ERROR)
    if as_json:
        _print_json({"prefix": prefix, "revoked": True})
    else:
        sys.stderr.write(f"Key {prefix} is revoked.\n")


def _run(work: Callable[[Database], Awaitable[Any]]) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    from optimized_tsp.cli.database_errors import reason_of
    from optimized_tsp.core.database import Database

    async def connected(url: str) -> Any:
        database = Database(url, pool_size=1, application_name="tsp keys")
        try:
            return await work(database)
        finally:
            await database.close()

    settings = load_settings()
    stack = running_stack(settings.data_dir) or {}
    given = settings.database_url
    url = stack.get("database_url") if given is None else given.get_secret_value()
    if url is None:
        complain("no service runs here; start `optimized-tsp up` or set OPTIMIZED_TSP_DATABASE_URL")
        raise typer.Exit(ExitCode.UNREACHABLE)
    try:
        return asyncio.run(connected(url))
    except (SQLAlchemyError, OSError) as error:
        complain(f"the database does not do it: {reason_of(error)}")
        raise typer.Exit(ExitCode.UNREACHABLE) from None


def _facts(key: ApiKey) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "name": key.name,
        "tenant_id": str(key.tenant_id),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _print_json(value: object) -> None:
    sys.stdout.write(orjson.dumps(value).decode() + "\n")

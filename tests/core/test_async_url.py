"""Addresses of databases as operators and providers write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from optimized_tsp.core.database import Database, async_url


async def answer(url: str) -> object:
    database = Database(url, application_name="tests")
    try:
        async with database.read() as session:
            return await session.scalar(text("SELECT 1"))
    finally:
        await database.close()


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
async def test_without_a_need_for_tls_a_server_without_it_is_taken(
    database_url: str, mode: str
) -> None:
    assert await answer(f"{database_url}?sslmode={mode}") == 1


async def test_where_tls_is_required_a_server_without_it_is_refused(database_url: str) -> None:
    with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
        await answer(f"{database_url}?sslmode=require")


async def test_certificates_are_read_from_the_files_that_are_named(
    database_url: str, tmp_path: Path
) -> None:
    nothing = tmp_path / "an empty file.pem"
    nothing.touch()

    with pytest.raises(OSError, match="NO_CERTIFICATE_OR_CRL_FOUND"):
        await answer(f"{database_url}?sslmode=verify-full&sslrootcert={nothing}")


def test_other_parameters_stay_arguments_of_the_driver() -> None:
    url = async_url("postgresql://a:b@c/d?sslmode=require&prepared_statement_cache_size=0")

    assert dict(url.query) == {
        "prepared_statement_cache_size": "0",
        "dsn": "postgresql://?sslmode=require",
    }

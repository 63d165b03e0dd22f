"""A database that lets nobody in is told in one sentence by the commands that need it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Ended
from tests.stack import Servers, TestDatabase

COMMANDS = [("migrate",), ("keys", "list")]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command where no service runs."""
    return Cli(tmp_path).having(data_dir=str(tmp_path / "data"), redis_url="redis://localhost/0")


def is_one_sentence(ended: Ended, reason: str) -> bool:
    return ended.err == f"optimized-tsp: the database does not do it: {reason}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_takes_no_more_connections_is_told_in_one_sentence(
    servers: Servers, database: TestDatabase, cli: Cli, command: tuple[str, ...]
) -> None:
    servers.run_sql(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")

    ended = cli.having(database_url=database.owner_url).run(*command)

    assert ended.code != 0
    assert is_one_sentence(ended, f'too many connections for database "{database.name}"')


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password_is_told_in_one_sentence(
    database: TestDatabase, cli: Cli, command: tuple[str, ...]
) -> None:
    url = database.owner_url.replace(database.identity.owner_password, "hunter2")

    ended = cli.having(database_url=url).run(*command)

    assert ended.code != 0
    user = "optimized_tsp_owner"
    assert is_one_sentence(ended, f'password authentication failed for user "{user}"')


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_not_the_one_asked_for_is_told_in_one_sentence(
    database: TestDatabase, cli: Cli, command: tuple[str, ...]
) -> None:
    url = f"{database.owner_url}?target_session_attrs=standby"

    ended = cli.having(database_url=url).run(*command)

    assert ended.code != 0
    assert len(ended.err.splitlines()) == 1
    assert "the database does not do it: " in ended.err

"""Postgres comes back with its data, whatever happened to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from optimized_tsp.embedded.account import server_account
from optimized_tsp.embedded.binaries import Binaries, reachable_binaries
from optimized_tsp.embedded.errors import ProcessFailed
from optimized_tsp.embedded.identity import Identity
from optimized_tsp.embedded.postgres import Postgres
from optimized_tsp.embedded.process import stop_all, wait_until
from tests.stack import is_gone, public_folder

READY_TIMEOUT_S = 20.0


def make(folder: Path) -> Postgres:
    binaries: Binaries = reachable_binaries(server_account(), folder / "servers")
    identity = Identity.load(folder / "embedded.json")
    return Postgres(folder / "postgres", folder / "postgres.log", binaries, identity, durable=False)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with public_folder() as folder:
        postgres = make(folder)
        postgres.initialize()
        try:
            start(postgres)
            postgres.run_sql("CREATE TABLE kept AS SELECT 42 AS answer")
            yield postgres
        finally:
            stop_all([postgres.process], grace_s=5)


def start(postgres: Postgres) -> None:
    postgres.process.start()
    postgres.process.wait_ready(timeout_s=READY_TIMEOUT_S)


def answer(postgres: Postgres) -> str:
    return postgres.run_sql("SELECT answer FROM kept").strip()


def test_it_starts_again_after_kill_9(postgres: Postgres) -> None:
    postgres.process.send(signal.SIGKILL)
    assert wait_until(lambda: not postgres.process.is_running(), timeout_s=30)
    start(postgres)
    assert answer(postgres) == "42"


def test_it_clears_away_orphans_that_still_hold_the_data(postgres: Postgres) -> None:
    orphan = next(
        child
        for child in psutil.Process(postgres.process.pid).children()
        if "checkpointer" in " ".join(child.cmdline())
    )
    orphan.suspend()  # it cannot notice that its server dies
    postgres.process.send(signal.SIGKILL)
    assert wait_until(lambda: not postgres.process.is_running(), timeout_s=30)
    assert orphan.is_running()

    start(postgres)

    assert answer(postgres) == "42"
    assert is_gone(orphan)


def test_a_note_with_the_process_id_of_somebody_else_does_not_stop_it(postgres: Postgres) -> None:
    stop_all([postgres.process], grace_s=5)
    note = postgres.folder / "postmaster.pid"
    somebody = psutil.Process().parent()
    assert somebody is not None
    note.write_text(f"{somebody.pid}\n{postgres.folder}\n1700000000\n5432\n\n\n\nready   \n")
    if postgres.account is not None:
        os.chown(note, postgres.account.uid, postgres.account.gid)
    start(postgres)
    assert answer(postgres) == "42"


def test_a_cluster_that_was_not_finished_is_made_anew() -> None:
    with public_folder() as folder:
        postgres = make(folder)
        (folder / "postgres.new" / "data").mkdir(parents=True)
        (folder / "postgres.new" / "data" / "PG_VERSION").write_text("18\n")
        assert postgres.initialize()
        assert (postgres.folder / "global" / "pg_control").exists()
        assert not postgres.initialize()


def test_a_cluster_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    postgres = make(tmp_path)
    postgres.folder.mkdir()
    (postgres.folder / "PG_VERSION").write_text("17\n")
    with pytest.raises(ProcessFailed, match="was made by Postgres 17, this version brings 18"):
        postgres.initialize()


def test_a_server_that_cannot_start_says_why(postgres: Postgres) -> None:
    second = Postgres(
        postgres.folder,
        postgres.folder.with_name("second.log"),
        postgres.binaries,
        postgres.identity,
    )
    stop_all([postgres.process], grace_s=5)
    (postgres.folder / "global" / "pg_control").unlink()
    second.process.start()
    with pytest.raises(ProcessFailed, match=r"(?s)Postgres ended with.*pg_control"):
        second.process.wait_ready(timeout_s=READY_TIMEOUT_S)


def test_passwords_are_asked_for_and_kept_as_scram(postgres: Postgres) -> None:
    password = postgres.identity.superuser_password
    stored = postgres.run_sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
    assert stored.startswith("SCRAM-SHA-256$")
    assert password not in " ".join(psutil.Process(postgres.process.pid).cmdline())
    wrong = Postgres(
        postgres.folder,
        postgres.process.log,
        postgres.binaries,
        Identity(postgres.identity.postgres_port, 1, "wrong", "", "", "", ""),
    )
    with pytest.raises(ProcessFailed, match="password authentication failed"):
        wrong.run_sql("SELECT 1")

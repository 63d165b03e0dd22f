"""Who the servers run as, and what that user can reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from optimized_tsp.embedded.account import Account, server_account

STRANGER = Account("stranger", uid=2**31 - 3, gid=2**31 - 3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.touch()
    for opened in (path.parent, *path.parents):
        if opened.stat().st_uid == os.geteuid() and opened.is_relative_to(tmp_path.parents[1]):
            opened.chmod(0o755)
    path.chmod(0o644)
    return path


def test_a_public_file_is_reachable(file: Path) -> None:
    assert STRANGER.can_reach(file)


def test_a_private_file_is_not(file: Path) -> None:
    file.chmod(0o600)
    assert not STRANGER.can_reach(file)


def test_a_file_below_a_closed_folder_is_not(file: Path) -> None:
    file.parent.chmod(0o700)
    assert not STRANGER.can_reach(file)


def test_a_folder_that_can_be_entered_but_not_listed_is_passed_through(file: Path) -> None:
    file.parent.chmod(0o711)
    assert STRANGER.can_reach(file)
    assert not STRANGER.can_reach(file.parent)


def test_the_owner_reaches_what_others_cannot(file: Path) -> None:
    file.parent.chmod(0o700)
    owner = Account("owner", uid=os.geteuid(), gid=os.getegid())
    assert owner.can_reach(file)


def test_we_run_servers_ourselves_unless_we_are_root() -> None:
    account = server_account()
    assert (account is None) == (os.geteuid() != 0)
    assert account is None or account.uid != 0


def test_an_existing_cluster_keeps_its_user(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, STRANGER.uid, STRANGER.gid)
        account = server_account(tmp_path)
        assert account is not None
        assert (account.uid, account.gid) == (STRANGER.uid, STRANGER.gid)
    else:
        assert server_account(tmp_path) is None

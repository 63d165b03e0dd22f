"""The data folder belongs to one stack at a time and keeps its secrets."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from optimized_tsp.embedded.errors import FolderInUse
from optimized_tsp.embedded.folder import DataFolder, make_folder, running_stack, write_private

STACK = {"api_url": "http://127.0.0.1:8000", "pid": 17, "database_url": "postgresql://"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_second_stack_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        write_private(folder.stack, STACK)
        with pytest.raises(FolderInUse) as refused, DataFolder(tmp_path):
            pass
    assert f"already runs on the data folder {tmp_path} at http://127.0.0.1:8000" in str(
        refused.value
    )
    assert "\n" not in str(refused.value)


def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with DataFolder(tmp_path):
            pass


def test_addresses_are_known_only_while_the_stack_runs(tmp_path: Path) -> None:
    assert running_stack(tmp_path) is None
    with DataFolder(tmp_path) as folder:
        write_private(folder.stack, STACK)
        assert running_stack(tmp_path) == STACK
    assert running_stack(tmp_path) is None


def test_what_a_killed_stack_left_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    write_private(tmp_path / "stack.json", STACK)
    assert running_stack(tmp_path) is None
    with DataFolder(tmp_path) as folder:
        assert not folder.stack.exists()


def test_secrets_are_for_the_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret.json", {"password": "x"})
        write_private(tmp_path / "secret.json", {"password": "y"})
    finally:
        os.umask(before)
    assert mode(tmp_path / "secret.json") == 0o600


def test_a_folder_that_exists_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make_folder(tmp_path, 0o711)
    with DataFolder(tmp_path):
        assert mode(tmp_path) == 0o750


def test_new_folders_get_their_permissions_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_folder(tmp_path / "a" / "b", 0o711)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o711, 0o711)

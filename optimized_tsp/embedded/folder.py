"""The data folder: who may use it, and what lies in it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from optimized_tsp.embedded.errors import FolderInUse
from optimized_tsp.embedded.process import wait_until

__all__ = ["DataFolder", "make_folder", "running_stack", "write_private"]

_LOCK_PATIENCE_S = 0.2


def make_folder(path: Path, mode: int) -> None:
    """Make a folder and its missing parents with exactly this mode; an existing one stays as is."""
    if path.is_dir():
        return
    make_folder(path.parent, mode)
    path.mkdir(exist_ok=True)
    path.chmod(mode)


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only we may read; a reader sees the old file or the new one, whole."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)


class DataFolder:
    """A data folder, ours alone while the `with` block runs.

    The lock is the kernel's and ends with the process, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock = -1

    @property
    def postgres(self) -> Path:
        """The database cluster; belongs to the user that Postgres runs as."""
        return self.path / "postgres"

    @property
    def servers(self) -> Path:
        """A copy of the servers' programs, where one is needed."""
        return self.path / "servers"

    @property
    def logs(self) -> Path:
        """What the programs print."""
        return self.path / "logs"

    @property
    def identity(self) -> Path:
        """Passwords and ports, kept over restarts."""
        return self.path / "embedded.json"

    @property
    def webhook_key(self) -> Path:
        """What encrypts the secrets of webhooks, where no setting gives a key."""
        return self.path / "webhook.json"

    @property
    def stack(self) -> Path:
        """Addresses of what is running now."""
        return self.path / "stack.json"

    def __enter__(self) -> DataFolder:
        # As root others must be able to pass through to what belongs to the servers' user.
        make_folder(self.path, 0o711 if os.geteuid() == 0 else 0o700)
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        # A moment of patience: `running_stack` holds the lock while it looks.
        if not wait_until(self._try_lock, timeout_s=_LOCK_PATIENCE_S):
            os.close(self._lock)
            raise FolderInUse(self._who_runs())
        self.stack.unlink(missing_ok=True)
        make_folder(self.logs, 0o700)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.unlink(missing_ok=True)
        os.close(self._lock)

    def log(self, name: str) -> Path:
        """The log file of one program."""
        return self.logs / f"{name}.log"

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _who_runs(self) -> str:
        stack = json.loads(self.stack.read_text()) if self.stack.exists() else {}
        where = f" at {stack['api_url']}" if "api_url" in stack else ""
        who = f" (process {stack['pid']})" if "pid" in stack else ""
        return (
            f"optimized-tsp already runs on the data folder {self.path}{where}{who}: "
            "use that one, stop it, or set OPTIMIZED_TSP_DATA_DIR to another folder."
        )


def running_stack(path: Path) -> dict[str, Any] | None:
    """The addresses of the stack that runs on a data folder now; None when none does.

    Keys: `database_url`, `redis_url`, `reporting_url`, `api_url`, `pid`.
    """
    folder = DataFolder(path)
    if not folder.stack.exists():
        return None
    with (folder.path / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            stack: dict[str, Any] = json.loads(folder.stack.read_text())
            return stack
    return None

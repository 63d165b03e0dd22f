"""Which user the servers run as, and what that user can reach."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from optimized_tsp.embedded.errors import NoAccount

__all__ = ["Account", "server_account"]

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user of this machine."""

    name: str
    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Whether permission bits let this user enter every parent of `path` and read it."""
        path = path.resolve()
        if not all(self._allows(parent, execute=True) for parent in path.parents):
            return False
        return self._allows(path, read=True, execute=path.is_dir())

    def _allows(self, path: Path, *, read: bool = False, execute: bool = False) -> bool:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        wanted = (stat.S_IROTH if read else 0) | (stat.S_IXOTH if execute else 0)
        return (status.st_mode >> shift) & wanted == wanted


def server_account(owned: Path | None = None) -> Account | None:
    """The existing user that servers run as when we are root; None (ourselves) when we are not.

    `owned` is a folder of an earlier start: its owner stays the user, whatever exists by now.
    """
    if os.geteuid() != 0:
        return None
    if owned is not None and owned.exists():
        owner = owned.stat()
        return Account(f"user {owner.st_uid}", owner.st_uid, owner.st_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise NoAccount(
        f"Postgres does not run as root, and this machine has none of the users "
        f"{', '.join(_CANDIDATES)}: run as a normal user, or set OPTIMIZED_TSP_DATABASE_URL "
        "and OPTIMIZED_TSP_REDIS_URL"
    )

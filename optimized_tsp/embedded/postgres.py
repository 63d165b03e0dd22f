"""The embedded Postgres: made at the first start, cleaned up after a crash, given its roles."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from optimized_tsp.embedded.account import Account, server_account
from optimized_tsp.embedded.binaries import POSTGRES_MAJOR, Binaries
from optimized_tsp.embedded.errors import ProcessFailed
from optimized_tsp.embedded.identity import HOST, Identity
from optimized_tsp.embedded.process import Order, Pause, Process, run, wait_until

__all__ = ["Postgres"]

_SUPERUSER = "postgres"
_INITDB_TIMEOUT_S = 120.0
_SQL_TIMEOUT_S = 60.0
_LAST_RITES = ((signal.SIGQUIT, 1.0), (signal.SIGKILL, 5.0))

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "logging_collector": "off",
}
# For databases that nobody misses after a power cut; a kill -9 still loses nothing that was
# committed (it would with synchronous_commit = off).
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class Postgres:
    """One database cluster in `folder` and the server on it.

    `durable=False` trades safety at a power cut for speed, and is for tests. A crash of the server
    alone loses nothing either way.
    """

    def __init__(
        self,
        folder: Path,
        log: Path,
        binaries: Binaries,
        identity: Identity,
        *,
        durable: bool = True,
        max_connections: int = 100,
    ) -> None:
        self.folder = folder
        self.binaries = binaries
        self.identity = identity
        self.durable = durable
        self.account: Account | None = server_account(folder)
        self.process = Process(
            "Postgres",
            self._order(
                self.binaries.postgres_bin / "postgres",
                *("-D", "{folder}", "-c", f"port={identity.postgres_port}"),
                *("-c", f"max_connections={max_connections}"),
                *self._settings(),
                folder=folder,
                # An immediate shutdown: unlike SIGKILL it takes the server's own children along.
                death_signal=signal.SIGQUIT,
            ),
            log,
            is_ready=self._is_ready,
            before_start=self._clear_leftovers,
            stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        )

    def initialize(self, pause: Pause = time.sleep) -> bool:
        """Make the cluster if there is none; whether it was made now."""
        version = self.folder / "PG_VERSION"
        if version.exists():
            if (found := version.read_text().strip()) != POSTGRES_MAJOR:
                raise ProcessFailed(
                    f"{self.folder} was made by Postgres {found}, this version brings "
                    f"{POSTGRES_MAJOR}: move the data with pg_dump of the version that wrote it"
                )
            return False
        # Made elsewhere and renamed when complete: a half-made cluster is never started.
        workshop = self.folder.with_name(f"{self.folder.name}.new")
        if workshop.exists():
            shutil.rmtree(workshop)
        self._initdb(workshop, pause)
        (workshop / "data").rename(self.folder)
        shutil.rmtree(workshop)
        return True

    def run_sql(
        self, text: str, *, database: str = "postgres", pause: Pause = time.sleep, **env: str
    ) -> str:
        """Run a psql script as superuser; `env` is what its `\\getenv` finds."""
        order = self._order(
            self.binaries.postgres_bin / "psql",
            *("--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
            *("--set", "ON_ERROR_STOP=1", "--file", "-"),
            self.identity.postgres_url(_SUPERUSER, "", database).replace(":@", "@"),
            stdin=text,
            env={"PGPASSWORD": self.identity.superuser_password, **env},
        )
        return run(order, name="psql", timeout_s=_SQL_TIMEOUT_S, pause=pause)

    def _initdb(self, workshop: Path, pause: Pause) -> None:
        workshop.mkdir(mode=0o700)
        password = workshop / "password"
        password.touch(mode=0o600)
        password.write_text(self.identity.superuser_password)
        if self.account is not None:
            for path in (workshop, password):
                os.chown(path, self.account.uid, self.account.gid)
        order = self._order(
            self.binaries.postgres_bin / "initdb",
            *("--pgdata={folder}/data", "--pwfile={folder}/password", f"--username={_SUPERUSER}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
            *(() if self.durable else ("--no-sync",)),
            folder=workshop,
        )
        run(order, name="initdb", timeout_s=_INITDB_TIMEOUT_S, pause=pause)

    def _settings(self) -> Iterator[str]:
        for name, value in (_SETTINGS | ({} if self.durable else _FAST_SETTINGS)).items():
            yield from ("-c", f"{name}={value}")

    def _order(
        self,
        program: Path,
        *arguments: str,
        folder: Path | None = None,
        stdin: str | None = None,
        env: dict[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> Order:
        return Order(
            command=(program, *arguments),
            env={"PATH": os.defpath, "LC_ALL": "C", **(env or {})},
            account=self.account,
            folder=folder,
            death_signal=death_signal,
            stdin=stdin,
        )

    def _is_ready(self, process: Process) -> bool:
        """What pg_ctl looks at: the server notes its process id and state in this file."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and int(lines[0]) == process.pid and lines[7].strip() == "ready"

    def _clear_leftovers(self) -> None:
        """End what a killed server left behind, and its note: its process id may be reused by now.

        The note protects the data while any process works on it, so it goes only after them. Nobody
        else may start a server here: the caller holds the data folder's lock.
        """
        note = self.folder / "postmaster.pid"
        if not note.exists():
            return
        for number, patience_s in _LAST_RITES:
            for pid in self._leftovers():
                _send(pid, number)
            if wait_until(lambda: not self._leftovers(), timeout_s=patience_s):
                note.unlink()
                return
        raise ProcessFailed(f"processes of an earlier Postgres still work on {self.folder}")

    def _leftovers(self) -> list[int]:
        """Processes named postgres whose working directory is the cluster, as every server's is."""
        cluster = self.folder.stat()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                cwd = (process / "cwd").stat()
                same = (cwd.st_dev, cwd.st_ino) == (cluster.st_dev, cluster.st_ino)
                if same and (process / "comm").read_text().strip() == "postgres":
                    found.append(int(process.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # ended meanwhile, or somebody else's
        return found


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

"""Both servers together, as `up` and the tests start them."""

from __future__ import annotations

import time
from pathlib import Path

from optimized_tsp.embedded.account import server_account
from optimized_tsp.embedded.binaries import reachable_binaries
from optimized_tsp.embedded.errors import ProcessFailed
from optimized_tsp.embedded.folder import DataFolder
from optimized_tsp.embedded.identity import DATABASE, Identity
from optimized_tsp.embedded.postgres import Postgres
from optimized_tsp.embedded.process import Pause, Process, stop_all
from optimized_tsp.embedded.valkey import valkey_process

__all__ = ["EmbeddedServers", "packaged"]

_READY_TIMEOUT_S = 60.0


class EmbeddedServers:
    """A Postgres with our database and roles, and a Valkey, in a locked data folder."""

    def __init__(
        self, folder: DataFolder, *, durable: bool = True, max_connections: int = 200
    ) -> None:
        account = server_account(folder.postgres)
        binaries = reachable_binaries(account, folder.servers)
        self.identity = Identity.load(folder.identity)
        self.postgres = Postgres(
            folder.postgres,
            folder.log("postgres"),
            binaries,
            self.identity,
            durable=durable,
            max_connections=max_connections,
        )
        self.valkey = valkey_process(folder.log("valkey"), binaries, self.identity, account)

    @property
    def processes(self) -> tuple[Process, Process]:
        """What has to be kept running."""
        return (self.postgres.process, self.valkey)

    def start(self, pause: Pause = time.sleep) -> None:
        """Start both and make sure that database and roles of init.sql exist."""
        self.valkey.start()
        self.postgres.initialize(pause)
        self.postgres.process.start()
        for process in self.processes:
            process.wait_ready(timeout_s=_READY_TIMEOUT_S, pause=pause)
        self.create_roles(pause)

    def create_roles(self, pause: Pause = time.sleep) -> None:
        """Run init.sql, which changes nothing where everything is there."""
        self.postgres.run_sql(
            packaged("init.sql").read_text(),
            pause=pause,
            OPTIMIZED_TSP_OWNER_PASSWORD=self.identity.owner_password,
            OPTIMIZED_TSP_APP_PASSWORD=self.identity.app_password,
            OPTIMIZED_TSP_REPORTING_PASSWORD=self.identity.reporting_password,
        )

    def has_present_schema(self, pause: Pause = time.sleep) -> bool:
        """Whether the latest of our migrations has been run."""
        versions = packaged("migrations").glob("versions/*.py")
        latest = max(path.name.partition("_")[0] for path in versions)
        try:
            found = self.postgres.run_sql(
                "SELECT version_num FROM alembic_version", database=DATABASE, pause=pause
            )
        except ProcessFailed:  # there is no such table before the first migration
            return False
        return found.strip() == latest

    def stop(self, *, grace_s: float = 5.0) -> None:
        """Stop both; Postgres writes what it has in memory."""
        stop_all(self.processes, grace_s=grace_s)


def packaged(name: str) -> Path:
    """A file of ours: beside the package in a checkout, inside it in an installation."""
    package = Path(__file__).parents[1]
    inside = package / name
    return inside if inside.exists() else package.parent / name

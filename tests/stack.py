"""Real servers and real processes for the tests.

`Servers` is one Postgres and one Valkey for the whole run, started by the code that `optimized-tsp
up` uses. `RunningStack` is an API and workers as processes of their own, on one database.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil
from redis import Redis

from optimized_tsp.embedded.folder import DataFolder
from optimized_tsp.embedded.identity import HOST, Identity, free_port
from optimized_tsp.embedded.process import Process, run, stop_all
from optimized_tsp.embedded.servers import EmbeddedServers
from optimized_tsp.embedded.service import (
    api_process,
    migration_order,
    service_env,
    worker_process,
)

READY_TIMEOUT_S = 90.0
STOP_GRACE_S = 10.0
WEBHOOK_KEY = "a key that only encrypts the secrets of tests"
_TEMPLATE = "optimized_tsp"
_COPIES = 5


@contextmanager
def public_folder() -> Iterator[Path]:
    """A temporary folder that any user may pass through (pytest's own are closed)."""
    path = Path(tempfile.mkdtemp(prefix="optimized-tsp-test-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; its parent may not have asked how."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@dataclass(frozen=True)
class TestDatabase:
    """A migrated, empty database that one test has for itself; addresses are SQLAlchemy's."""

    __test__ = False

    name: str
    identity: Identity

    @property
    def url(self) -> str:
        """As the API and the workers see it: they may not change the schema."""
        return self._url("optimized_tsp_app", self.identity.app_password)

    @property
    def owner_url(self) -> str:
        """As migrations see it."""
        return self._url("optimized_tsp_owner", self.identity.owner_password)

    @property
    def reporting_url(self) -> str:
        """As people with their SQL tools see it: read only."""
        return self._url("optimized_tsp_reporting", self.identity.reporting_password)

    def _url(self, role: str, password: str) -> str:
        url = self.identity.postgres_url(role, password, self.name)
        return url.replace("postgresql://", "postgresql+asyncpg://")


class Servers:
    """The servers of a test run, without the safety at a power cut that tests do not need."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._embedded = EmbeddedServers(folder, durable=False)
        self.identity = self._embedded.identity
        self._spare: list[str] = []
        self._finished: list[str] = []

    def start(self) -> None:
        """Start both and migrate the database that the others are copies of."""
        self._embedded.start()
        env = service_env(
            {"database_url": self.identity.owner_url, "redis_url": self.identity.redis_url}
        )
        run(migration_order(env), name="migrate", timeout_s=READY_TIMEOUT_S)

    def stop(self) -> None:
        """Stop both."""
        self._embedded.stop()

    @contextmanager
    def database(self) -> Iterator[TestDatabase]:
        """A fresh copy of the migrated database."""
        if not self._spare:
            self._copy_template()
        name = self._spare.pop()
        try:
            yield TestDatabase(name, self.identity)
        finally:
            self._finished.append(name)

    def _copy_template(self) -> None:
        """Some copies at once, and those that were used are dropped on the way."""
        drops = [f"DROP DATABASE {name} WITH (FORCE);" for name in self._finished]
        self._spare = [f"test_{uuid4().hex}" for _ in range(_COPIES)]
        # Copying files takes a fifth of the time that writing pages to the log does.
        options = f"TEMPLATE {_TEMPLATE} OWNER optimized_tsp_owner STRATEGY FILE_COPY"
        creates = [f"CREATE DATABASE {name} {options};" for name in self._spare]
        self._finished = []
        self.run_sql("\n".join([*drops, *creates]))

    def owner_url(self, database: str) -> str:
        """Address of any database here, as the role that runs migrations."""
        password = self.identity.owner_password
        return self.identity.postgres_url("optimized_tsp_owner", password, database)

    def create_roles(self) -> None:
        """Run init.sql once more."""
        self._embedded.create_roles()

    def run_sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run SQL as superuser, through psql."""
        return self._embedded.postgres.run_sql(statement, database=database)

    def logs(self) -> str:
        """Everything the servers printed until now."""
        return "\n".join(log.read_text() for log in sorted(self._folder.logs.glob("*.log")))

    def flush_redis(self) -> None:
        """Forget every ring."""
        with Redis.from_url(self.identity.redis_url) as redis:
            redis.flushall()


@dataclass
class RunningStack:
    """One API and some workers, as processes, on one database.

    `stack.api.kill()` and `stack.workers[0].kill()` are a `kill -9` of a process and what it
    started, `send(signal)` a signal to the process alone, `start_api()` and `start_worker()` start
    another one.
    """

    folder: Path
    env: dict[str, str]
    port: int = field(default_factory=free_port)
    workers: list[Process] = field(default_factory=list)
    api: Process = field(init=False)

    @property
    def base_url(self) -> str:
        """Where the API is: `http://127.0.0.1:PORT`."""
        return f"http://{HOST}:{self.port}"

    def start_api(self) -> Process:
        """Start the API and wait until it is ready."""
        env = self.env | {"OPTIMIZED_TSP_PORT": str(self.port)}
        self.api = api_process(env, self.folder / "api.log", host=HOST, port=self.port)
        self.api.start()
        self.api.wait_ready(timeout_s=READY_TIMEOUT_S)
        return self.api

    def start_worker(self) -> Process:
        """Start one more worker; it takes jobs as soon as it is up."""
        number = len(self.workers) + 1
        log = self.folder / f"worker-{number}.log"
        self.workers.append(worker_process(self.env, log, number=number))
        self.workers[-1].start()
        return self.workers[-1]

    def stop(self) -> None:
        """Stop all of it politely, then for certain."""
        started = [self.api] if hasattr(self, "api") else []
        stop_all([*self.workers, *started], grace_s=STOP_GRACE_S)

    def logs(self) -> str:
        """Everything the processes printed."""
        return "\n".join(log.read_text() for log in sorted(self.folder.glob("*.log")))


def stack_env(database: TestDatabase, redis_url: str, **settings: str) -> dict[str, str]:
    """The environment of an API or worker on this database; `settings` named as in `Settings`."""
    addresses = {"database_url": database.url, "redis_url": redis_url}
    env = service_env({**addresses, "webhook_key": WEBHOOK_KEY, **settings})
    return env | {"PYTHONFAULTHANDLER": "1", "PATH": os.environ.get("PATH", os.defpath)}

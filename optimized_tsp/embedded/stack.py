"""Everything at once: servers, migrations, API and workers under one supervisor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from optimized_tsp.core.config import Settings
from optimized_tsp.embedded.errors import PortTaken, ProcessFailed
from optimized_tsp.embedded.folder import DataFolder, write_private
from optimized_tsp.embedded.identity import is_free, webhook_key
from optimized_tsp.embedded.process import Order, Process, run, spawn, stop_all, wait_until
from optimized_tsp.embedded.servers import EmbeddedServers
from optimized_tsp.embedded.service import (
    api_process,
    migration_order,
    service_env,
    worker_process,
)
from optimized_tsp.embedded.supervisor import Report, SignalWatch, StopRequested, Supervisor

__all__ = ["Stack"]

_PORT_PATIENCE_S = 2.0
_MIGRATION_TIMEOUT_S = 600.0
_API_TIMEOUT_S = 60.0
_SERVICE_GRACE_S = 3.2
_SERVER_GRACE_S = 1.3
_VISITOR_GRACE_S = 0.5
_FOREVER_S = 3600.0
_CONNECTIONS_PER_WORKER = 8
_OTHER_CONNECTIONS = 60  # the API, migrations, people with their SQL tools


@dataclass(frozen=True)
class _Addresses:
    """Who finds what where; reporting on somebody else's database is theirs to know."""

    owner_url: str
    database_url: str
    redis_url: str
    reporting_url: str | None


class Stack:
    """The whole service on one machine.

    Without `database_url` and `redis_url` in the settings it brings its own servers.
    """

    def __init__(
        self, settings: Settings, folder: DataFolder, watch: SignalWatch, report: Report
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._watch = watch
        self._report = report
        self._supervisor = Supervisor(watch, report)
        self._servers: Sequence[Process] = ()
        self._services: list[Process] = []
        self._schema_is_present = False

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        return f"http://{host}:{self._settings.port}"

    def start(self) -> None:
        """Start everything; return when the API is ready. Raises `EmbeddedError`."""
        self._check_port()
        addresses = self._external() or self._start_servers()
        api, first_worker, *other_workers = self._make_services(addresses)
        if self._schema_is_present:
            self._launch(api, first_worker)  # the migration changes nothing that they need
            self._migrate(addresses)
        else:
            self._migrate(addresses)
            self._launch(api, first_worker)
        write_private(
            self._folder.stack,
            {
                "database_url": addresses.database_url,
                "redis_url": addresses.redis_url,
                "reporting_url": addresses.reporting_url,
                "api_url": self.api_url,
                "pid": os.getpid(),
            },
        )
        self._wait_for(api)
        self._launch(*other_workers)  # a second one in the race for the cores helps nobody

    def host(self, visitor: Order) -> int:
        """Let a program use the terminal until it ends; return its exit status."""
        process = spawn(visitor, None)
        try:
            wait_until(
                lambda: process.poll() is not None,
                timeout_s=float("inf"),
                pause=self._supervisor.pause,
            )
        finally:
            process.terminate()
            wait_until(lambda: process.poll() is not None, timeout_s=_VISITOR_GRACE_S)
            process.kill()
        return process.wait()

    def serve(self) -> None:
        """Keep everything running until `StopRequested`."""
        while True:
            self._supervisor.pause(_FOREVER_S)

    def stop(self) -> None:
        """Stop API and workers, then the servers; asked a second time, kill them."""
        try:
            stop_all(self._services, grace_s=_SERVICE_GRACE_S, pause=self._watch.pause)
            stop_all(self._servers, grace_s=_SERVER_GRACE_S, pause=self._watch.pause)
        except StopRequested:
            for process in (*self._services, *self._servers):
                process.kill()

    def _check_port(self) -> None:
        host, port = self._settings.host, self._settings.port
        # After a kill -9 the one before us may still be dying.
        if not wait_until(
            lambda: is_free(host, port), timeout_s=_PORT_PATIENCE_S, pause=self._watch.pause
        ):
            raise PortTaken(
                f"port {port} on {host} is taken by another program: stop that one, or set "
                "OPTIMIZED_TSP_PORT to a free port."
            )

    def _external(self) -> _Addresses | None:
        database, redis = self._settings.database_url, self._settings.redis_url
        if database is None or redis is None:
            return None
        self._report("Using the Postgres and the Redis of OPTIMIZED_TSP_*_URL.")
        url = database.get_secret_value()
        return _Addresses(url, url, redis.get_secret_value(), reporting_url=None)

    def _start_servers(self) -> _Addresses:
        connections = _OTHER_CONNECTIONS + _CONNECTIONS_PER_WORKER * self._settings.workers
        servers = EmbeddedServers(self._folder, max_connections=connections)
        self._servers = servers.processes
        if not self._folder.postgres.exists():
            self._report("First start: making the database ...")
        servers.start(self._watch.pause)
        self._supervisor.keep_running(self._servers)
        self._schema_is_present = servers.has_present_schema(self._watch.pause)
        identity = servers.identity
        self._report(
            f"Postgres on port {identity.postgres_port}, Valkey on port {identity.valkey_port}."
        )
        return _Addresses(
            identity.owner_url, identity.database_url, identity.redis_url, identity.reporting_url
        )

    def _migrate(self, addresses: _Addresses) -> None:
        env = service_env({"database_url": addresses.owner_url, "redis_url": addresses.redis_url})
        run(
            migration_order(env),
            name="the migration",
            timeout_s=_MIGRATION_TIMEOUT_S,
            pause=self._supervisor.pause,
        )

    def _make_services(self, addresses: _Addresses) -> list[Process]:
        given = self._settings.webhook_key
        env = service_env(
            {
                "database_url": addresses.database_url,
                "redis_url": addresses.redis_url,
                "data_dir": str(self._folder.path),
                "webhook_key": (
                    webhook_key(self._folder.webhook_key)
                    if given is None
                    else given.get_secret_value()
                ),
            }
        )
        host, port = self._settings.host, self._settings.port
        workers = (
            worker_process(env, self._folder.log(f"worker-{number}"), number=number)
            for number in range(1, self._settings.workers + 1)
        )
        return [api_process(env, self._folder.log("api"), host=host, port=port), *workers]

    def _launch(self, *services: Process) -> None:
        self._services.extend(services)
        for process in services:
            process.start()
        self._supervisor.keep_running(services)

    def _wait_for(self, api: Process) -> None:
        # A worker that cannot start is worth as much as an API that cannot.
        wait_until(
            lambda: api.is_ready() or self._failing() is not None,
            timeout_s=_API_TIMEOUT_S,
            pause=self._supervisor.pause,
        )
        if (failing := self._failing()) is not None or not api.is_ready():
            failing = failing or api
            raise ProcessFailed(f"{failing.name} does not start: it {failing.last_words()}")

    def _failing(self) -> Process | None:
        return next(filter(self._supervisor.keeps_dying, self._services), None)

"""A whole installation of its own, with proxies in front of its servers, that faults happen to.

Two APIs and two workers on a Postgres and a Valkey that nobody else uses. What is killed is started
again at once, as whatever runs the service does.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from optimized_tsp.embedded.folder import DataFolder
from optimized_tsp.embedded.identity import HOST, free_port
from optimized_tsp.embedded.process import Process, stop_all
from optimized_tsp.embedded.service import api_process, worker_process
from tests.faults.preloads import Disk, compiled
from tests.faults.proxy import FaultProxy
from tests.stack import Servers, TestDatabase, is_gone, stack_env

PLUGINS = Path(__file__).parents[1] / "plugins"
FAILPOINTS = Path(__file__).parent / "failpoints"
LEASE_S = 6.0
READY_S = 60.0
STOP_S = 15.0


class Cluster:
    """Start it with `async with running_cluster(folder)`."""

    def __init__(self, folder: Path, servers: Servers, database: TestDatabase, disk: Disk) -> None:
        self.folder = folder
        self.servers = servers
        self.database = database
        self.disk = disk
        self.failpoint = folder / "between-commit-and-ring"
        """While this file exists, the next API that has committed a job dies before it rings."""
        self.feeds: Counter[int] = Counter()
        """Websockets that are open now, by the API's port."""
        self.postgres = servers._embedded.postgres.process
        self.valkey = servers._embedded.valkey
        self.postgres_proxy = FaultProxy(servers.identity.postgres_port)
        self.redis_proxy = FaultProxy(servers.identity.valkey_port)
        self.apis: list[Process] = []
        self.workers: list[Process] = []
        self.ports = [free_port(), free_port()]
        self._usual: dict[Process, Mapping[str, str]] = {}

    @property
    def urls(self) -> list[str]:
        """Where the APIs are."""
        return [f"http://{HOST}:{port}" for port in self.ports]

    @property
    def direct_url(self) -> str:
        """The database without the proxy, for who judges."""
        return self.database.owner_url

    def environment(self, **settings: str) -> dict[str, str]:
        """What an API or worker of this installation is started with."""
        redis_url = _through(self.servers.identity.redis_url, self.redis_proxy)
        own = {
            "lease_s": str(LEASE_S),
            "solver_threads": "1",
            "data_dir": self._data,
            "log_format": "json",
        }
        env = stack_env(self.database, redis_url, **(own | settings))
        for name, value in env.items():
            if name.endswith("DATABASE_URL"):
                env[name] = _through(value, self.postgres_proxy)
        return env | {"PYTHONPATH": str(PLUGINS)}

    async def start(self, *, apis: int = 2, workers: int = 2, **settings: str) -> None:
        self.postgres_proxy.start()
        self.redis_proxy.start()
        env = self.environment(**settings)
        for number in range(1, workers + 1):
            log = self.folder / f"worker-{number}.log"
            self.workers.append(worker_process(env, log, number=number))
        for port in self.ports[:apis]:
            log = self.folder / f"api-{port}.log"
            own = {
                "OPTIMIZED_TSP_PORT": str(port),
                "PYTHONPATH": f"{FAILPOINTS}:{PLUGINS}",
                "BETWEEN_COMMIT_AND_RING": str(self.failpoint),
            }
            self.apis.append(api_process(env | own, log, host=HOST, port=port))
        for process in (*self.workers, *self.apis):
            self._usual[process] = process.order.env
            process.start()
        await self.until_ready()

    async def until_ready(self, within_s: float = READY_S) -> None:
        """Wait until both servers and all APIs can be used."""
        async with asyncio.timeout(within_s):
            for process in (self.postgres, self.valkey, *self.apis):
                while not await asyncio.to_thread(process.is_ready):
                    assert process.is_running(), process.last_words()
                    await asyncio.sleep(0.02)

    async def restart(self, process: Process) -> None:
        """Start a program that was killed, and wait until it is ready."""
        if not process.is_running():
            process.start()
        try:
            async with asyncio.timeout(READY_S):
                while not await asyncio.to_thread(process.is_ready):
                    if not process.is_running():  # killed in the middle, it may need a second try
                        process.start()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{process.name} {process.last_words()}") from None

    async def replace(self, process: Process, unlike: Mapping[str, str] | None = None) -> None:
        """SIGTERM, and a new one once it has ended, as a rolling deploy does.

        `unlike` is the environment in which the new one is not like the others; it stays so,
        killed or not, until it is replaced again.
        """
        process.ask_to_stop()
        async with asyncio.timeout(20):
            while process.is_running():  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(0.02)
        process.order = replace(process.order, env={**self._usual[process], **(unlike or {})})
        await self.restart(process)

    def is_usual(self, process: Process) -> bool:
        """Whether a program was started like the others of its kind."""
        return process.order.env == self._usual[process]

    def clock_ahead(self, seconds: int) -> dict[str, str]:
        """What gives a worker the wall clock of a machine that is `seconds` ahead."""
        library = self.folder / "shifted_clock.so"
        if not library.exists():
            compiled("shifted_clock", self.folder)
        return {"LD_PRELOAD": str(library), "CLOCK_AHEAD_S": str(seconds)}

    def one_version(self) -> dict[str, str]:
        """What lets a worker know version v1 of the solver tsp only."""
        plugins = self.folder / "one-version"
        if not plugins.exists():
            plugins.mkdir()
            for path in PLUGINS.glob("odd_solvers*"):
                (plugins / path.name).symlink_to(path)
        return {"PYTHONPATH": str(plugins)}

    def solver_children(self, *of: Process) -> list[psutil.Process]:
        """The processes that solve right now, of all workers or of some."""
        found = []
        for worker in of or self.workers:
            for server in _children(worker.pid):
                found += _children(server.pid)
        return found

    async def stop(self) -> list[psutil.Process]:
        """Stop everything politely; returns the processes of ours that are still there.

        Those are found by what they inherited: children of programs that were killed count, too.
        """
        await asyncio.to_thread(stop_all, [*self.apis, *self.workers], grace_s=STOP_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                while await asyncio.to_thread(self.processes):  # noqa: ASYNC110 - no event of ours
                    await asyncio.sleep(0.05)
        self.postgres_proxy.stop()
        self.redis_proxy.stop()
        return self.processes()

    def processes(self) -> list[psutil.Process]:
        """Every process that APIs and workers of this cluster are, or have started."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                environment = process.environ()
                if environment.get("OPTIMIZED_TSP_DATA_DIR") == self._data and not is_gone(process):
                    found.append(process)
        return found

    @property
    def _data(self) -> str:
        """The data folder, which no other installation has."""
        return str(self.folder / "data")

    def logs(self) -> str:
        """Everything the processes said."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')}"
            for log in sorted(self.folder.glob("*.log"))
        )


@asynccontextmanager
async def running_cluster(
    folder: Path, *, apis: int = 2, workers: int = 2, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Cluster]:
    """Servers, database and processes of their own; all gone afterwards."""
    (folder / "processes").mkdir()
    with ExitStack() as stack:
        data = stack.enter_context(DataFolder(folder / "servers"))
        servers = Servers(data)
        disk = Disk(folder / "disk")
        postgres = servers._embedded.postgres.process
        postgres.order = replace(postgres.order, env={**postgres.order.env, **disk.environment})
        stack.callback(servers.stop)
        servers.start()
        database = stack.enter_context(servers.database())
        cluster = Cluster(folder / "processes", servers, database, disk)
        await cluster.start(apis=apis, workers=workers, **(settings or {}))
        try:
            yield cluster
        finally:
            left = await cluster.stop()
        assert left == []


def _through(url: str, proxy: FaultProxy) -> str:
    """The same address, by way of the proxy."""
    return re.sub(rf"(@{re.escape(HOST)}):\d+", rf"\g<1>:{proxy.port}", url)


def _children(pid: int) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []
    return children

"""The command as a process of its own, against a service that knows the odd solvers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from optimized_tsp.embedded.process import wait_until
from tests.cli.terminal import Terminal
from tests.stack import RunningStack, Servers, TestDatabase, stack_env

PLUGINS = Path(__file__).parents[1] / "plugins"
TRIANGLE = {"matrix": [[None, 1, 9], [9, None, 2], [3, 9, None]]}
COMMAND = [sys.executable, "-m", "optimized_tsp.cli.main"]
DEADLINE_S = 90.0


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def id(self) -> str:
        """The job's id, alone on stdout."""
        (task_id,) = self.out.splitlines()
        return task_id


@dataclass(frozen=True)
class Running:
    """A command that runs."""

    process: subprocess.Popen[str]

    @property
    def out(self) -> IO[str]:
        """Its stdout."""
        assert self.process.stdout is not None
        return self.process.stdout

    def said(self, words: str) -> str:
        """The first line on stderr with these words, once it is there."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}")

    def code(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(timeout=DEADLINE_S)


@dataclass(frozen=True)
class Cli:
    """The command with an environment; files it is given lie in `folder`."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def having(self, **env: str) -> Cli:
        """The same with other variables, named as settings are."""
        named = {f"OPTIMIZED_TSP_{name.upper()}": value for name, value in env.items()}
        return Cli(self.folder, self.env | named)

    def run(self, *arguments: str) -> Ended:
        """Run to the end, all of it piped."""
        with self.started(*arguments) as running:
            out, err = running.process.communicate(timeout=DEADLINE_S)
        assert "Traceback" not in err, err
        return Ended(running.process.returncode, out, err)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[Running]:
        """Runs meanwhile, all of it piped; killed when the block ends before it does."""
        with subprocess.Popen(
            [*COMMAND, *arguments],
            env=self._whole_env(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Running(process)
            finally:
                process.kill()

    def on_terminal(
        self, columns: int, arguments: Sequence[str], *, pipe_stdout: bool = False
    ) -> Terminal:
        """Start on a terminal."""
        command = [*COMMAND, *arguments]
        return Terminal(command, self._whole_env(), columns=columns, pipe_stdout=pipe_stdout)

    def file(self, name: str, content: object) -> str:
        """A file; JSON unless it is text. Returns its path."""
        path = self.folder / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def odd(self, behaviour: str, *, timeout: float = 60.0, gate: Path | None = None) -> str:
        """A file with a problem for the misbehaving solver."""
        parameters: dict[str, Any] = {"behaviour": behaviour, "timeout": timeout}
        parameters |= {} if gate is None else {"gate": str(gate)}
        body = {"instance": {"size": 3}, "optimization_parameters": parameters}
        return self.file(f"{behaviour}.json", body)

    def submit(self, file: str, *options: str, solver: str = "odd/v1") -> str:
        """Submit; the job's id."""
        ended = self.run("submit", file, "--solver", solver, *options)
        assert ended.code == 0, ended
        return ended.id

    def until(self, task_id: str, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until a job of the odd solver is as wanted; its status."""
        url = f"{self.env['OPTIMIZED_TSP_URL']}/odd_solver/v1/jobs/{task_id}"
        assert wait_until(lambda: bool(wanted(httpx.get(url).json())), timeout_s=DEADLINE_S)
        job: dict[str, Any] = httpx.get(url).json()
        return job

    def _whole_env(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES"}}
        return inherited | self.env


@dataclass(frozen=True)
class Service:
    """A running service, its database, and the command that calls it."""

    stack: RunningStack
    database: TestDatabase
    cli: Cli

    def events(self, task_id: str) -> list[dict[str, Any]]:
        """All stored events of a job of the odd solver."""
        path = f"/odd_solver/v1/jobs/{task_id}/events?limit=1000"
        found: list[dict[str, Any]] = httpx.get(self.stack.base_url + path).json()
        return found


@contextmanager
def running_service(
    folder: Path, database: TestDatabase, redis_url: str, *, workers: int, **settings: str
) -> Iterator[Service]:
    """An API and workers that know the odd solvers."""
    settings = {"data_dir": str(folder / "data"), "lease_s": "3"} | settings
    env = stack_env(database, redis_url, **settings)
    stack = RunningStack(folder, env | {"PYTHONPATH": str(PLUGINS)})
    files = folder / "files"
    files.mkdir()
    cli = Cli(files, {"OPTIMIZED_TSP_DATA_DIR": str(folder / "nothing")})
    try:
        for _ in range(workers):
            stack.start_worker()
        stack.start_api()
        yield Service(stack, database, cli.having(url=stack.base_url))
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def service(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One API and two workers for all tests of a file."""
    folder, redis_url = tmp_path_factory.mktemp("cli"), servers.identity.redis_url
    with (
        servers.database() as database,
        running_service(folder, database, redis_url, workers=2) as service,
    ):
        yield service


@pytest.fixture
def cli(service: Service) -> Cli:
    """The command, calling that service."""
    return service.cli


@pytest.fixture
def own_service(database: TestDatabase, redis_url: str, tmp_path: Path) -> Iterator[Service]:
    """An API and a worker that one test may kill."""
    with running_service(tmp_path, database, redis_url, workers=1) as service:
        yield service


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that is not there yet; problems with this gate wait for it."""
    return tmp_path / "gate"

"""The containers: what `docker compose` and `docker inspect` say of one project."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

__all__ = ["ROOT", "CheckFailed", "Container", "Stack", "free_port", "require", "until"]

ROOT = Path(__file__).parents[2]
_PAUSE_S = 0.25
_COMMAND_TIMEOUT_S = 180.0


class CheckFailed(Exception):
    """Something is not as promised."""


def require(condition: object, message: str) -> None:
    """Raise `CheckFailed` unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def until(condition: Callable[[], bool], *, within_s: float, what: str) -> float:
    """Wait for a condition; return how many seconds it took, raise `CheckFailed` when too long."""
    since = time.monotonic()
    while not condition():
        require(time.monotonic() - since < within_s, f"not within {within_s:g} s: {what}")
        time.sleep(_PAUSE_S)
    return time.monotonic() - since


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True)
class Container:
    """One container, as `docker inspect` describes it."""

    facts: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.facts["Id"])

    @property
    def name(self) -> str:
        return str(self.facts["Name"]).lstrip("/")

    @property
    def service(self) -> str:
        return str(self.facts["Config"]["Labels"]["com.docker.compose.service"])

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.facts["State"]
        return state

    @property
    def is_healthy(self) -> bool:
        health = self.state.get("Health", {}).get("Status")
        return bool(self.state["Running"]) and health == "healthy"

    @property
    def has_succeeded(self) -> bool:
        return bool(self.state["Status"] == "exited" and self.state["ExitCode"] == 0)


@dataclass
class Stack:
    """One project made of docker-compose.yaml, with passwords in `env_file`."""

    project: str
    env_file: Path
    port: int = field(default_factory=free_port)
    postgres_port: int = field(default_factory=free_port)

    def compose(self, *command: str, stdin: str = "", timeout_s: float | None = None) -> str:
        """Run `docker compose ...`; return its output, raise `CheckFailed` when it fails."""
        done = self.try_compose(*command, stdin=stdin, timeout_s=timeout_s)
        require(
            done.returncode == 0,
            f"docker compose {' '.join(command)}: exit code {done.returncode}\n{done.stderr}",
        )
        return done.stdout

    def try_compose(
        self, *command: str, stdin: str = "", timeout_s: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same, failing or not."""
        return subprocess.run(
            self.command(*command),
            env=self._environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s or _COMMAND_TIMEOUT_S,
            check=False,
        )

    def start_compose(self, *command: str) -> subprocess.Popen[str]:
        """Start `docker compose ...` beside us, its output to be read line by line."""
        return subprocess.Popen(
            self.command(*command),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def command(self, *command: str) -> list[str]:
        """The whole command line of a `docker compose` command."""
        file = ROOT / "docker-compose.yaml"
        return [
            _docker(), "compose", "--ansi", "never", "--project-name", self.project,
            "--file", str(file), "--env-file", str(self.env_file), *command,
        ]  # fmt: skip

    def docker(self, *command: str) -> str:
        """Run `docker ...`; return its output."""
        done = subprocess.run(
            [_docker(), *command],
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        require(done.returncode == 0, f"docker {' '.join(command)}: {done.stderr}")
        return done.stdout

    def containers(self, *services: str) -> list[Container]:
        """All containers of these services (of all without any), running or not."""
        ids = self.compose("ps", "--all", "--quiet", *services).split()
        return [Container(facts) for facts in json.loads(self.docker("inspect", *ids))]

    def wait_settled(self, *, workers: int = 2, within_s: float = 120.0) -> float:
        """Wait until everything is healthy and the migration has succeeded; seconds it took."""

        def settled() -> bool:
            containers = self.containers()
            running = [one for one in containers if one.service != "migrate"]
            healthy = all(one.is_healthy for one in running)
            migrated = all(one.has_succeeded for one in containers if one not in running)
            of_worker = [one for one in running if one.service == "worker"]
            return healthy and migrated and len(of_worker) == workers

        return until(settled, within_s=within_s, what="everything healthy, the schema migrated")

    def gateway(self) -> str:
        """The address of this machine in the containers' network."""
        form = "{{(index .IPAM.Config 0).Gateway}}"
        network = f"{self.project}_default"
        return self.docker("network", "inspect", "--format", form, network).strip()

    def sql(self, query: str, **values: str) -> str:
        """The answer of the database's superuser, columns separated by `|`.

        `values` stand in the query as `:'name'`.
        """
        done = self.psql(query, "postgresql:///optimized_tsp?user=postgres", **values)
        require(done.returncode == 0, f"{query}: {done.stderr}")
        return done.stdout.strip()

    def report(self, query: str, **values: str) -> subprocess.CompletedProcess[str]:
        """A query of the reporting role, over TCP and with its password."""
        password = self.passwords()["OPTIMIZED_TSP_REPORTING_PASSWORD"]
        address = f"postgresql://optimized_tsp_reporting:{password}@postgres:5432/optimized_tsp"
        return self.psql(query, address, **values)

    def psql(self, query: str, address: str, **values: str) -> subprocess.CompletedProcess[str]:
        """psql in the database's container, failing or not."""
        given = [part for name, text in values.items() for part in ("-v", f"{name}={text}")]
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *given, address]
        return self.try_compose("exec", "-T", "postgres", *command, stdin=query)

    def pipe(
        self, *command: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> None:
        """Run a command in the database's container, from a file or into one."""
        done = subprocess.run(
            self.command("exec", "-T", "postgres", *command),
            env=self._environment(),
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        require(done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode()}")

    def passwords(self) -> dict[str, str]:
        """What the .env file says."""
        lines = self.env_file.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")

    def _environment(self) -> dict[str, str]:
        ours = ("OPTIMIZED_TSP_", "COMPOSE_")  # the caller's own must not reach this project
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        return inherited | {
            "OPTIMIZED_TSP_PORT": str(self.port),
            "OPTIMIZED_TSP_POSTGRES_PORT": str(self.postgres_port),
        }


def _docker() -> str:
    docker = shutil.which("docker")
    if docker is None:
        raise CheckFailed("there is no `docker` command here: install Docker with Compose")
    return docker

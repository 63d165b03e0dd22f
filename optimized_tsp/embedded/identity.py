"""Passwords and ports of the embedded servers: chosen once, kept in one private file."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from optimized_tsp.embedded.folder import write_private

__all__ = ["DATABASE", "HOST", "Identity", "free_port", "is_free", "webhook_key"]

HOST = "127.0.0.1"
DATABASE = "optimized_tsp"

_PORTS = range(20_000, 32_000)
"""Below those from which systems choose the near end of a connection (32768 or 49152 and up)."""


@dataclass(frozen=True)
class Identity:
    """What the embedded servers are called and who may enter."""

    postgres_port: int
    valkey_port: int
    superuser_password: str
    owner_password: str
    app_password: str
    reporting_password: str
    valkey_password: str

    @staticmethod
    def load(path: Path) -> Identity:
        """The identity kept in `path`, made at the first call; a port now taken is replaced."""
        if path.exists():
            kept = Identity(**json.loads(path.read_text()))
        else:
            kept = Identity(0, 0, *(secrets.token_hex(24) for _ in range(5)))
        current = replace(
            kept,
            postgres_port=_kept_or_free(kept.postgres_port),
            valkey_port=_kept_or_free(kept.valkey_port),
        )
        if current != kept:
            write_private(path, asdict(current))
        return current

    @property
    def owner_url(self) -> str:
        """For migrations."""
        return self.postgres_url("optimized_tsp_owner", self.owner_password)

    @property
    def database_url(self) -> str:
        """For the API and the workers."""
        return self.postgres_url("optimized_tsp_app", self.app_password)

    @property
    def reporting_url(self) -> str:
        """For people and their tools; reads only."""
        return self.postgres_url("optimized_tsp_reporting", self.reporting_password)

    @property
    def redis_url(self) -> str:
        """The doorbell."""
        return f"redis://:{self.valkey_password}@{HOST}:{self.valkey_port}/0"

    def postgres_url(self, role: str, password: str, database: str = DATABASE) -> str:
        """Address of a database of this server."""
        return f"postgresql://{role}:{password}@{HOST}:{self.postgres_port}/{database}"


def webhook_key(path: Path) -> str:
    """The key kept in `path`, made at the first call; without it webhooks' secrets are lost."""
    if not path.exists():
        write_private(path, {"webhook_key": secrets.token_hex(32)})
    key: str = json.loads(path.read_text())["webhook_key"]
    return key


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on this port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on now, nor is given to a connection by the system meanwhile."""
    while not is_free(HOST, port := secrets.choice(_PORTS)):
        pass
    return port


def _kept_or_free(port: int) -> int:
    return port if port and is_free(HOST, port) else free_port()

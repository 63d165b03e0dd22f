"""The service's own programs as supervised processes: migrations, API, workers."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from optimized_tsp.core.config import ENV_PREFIX
from optimized_tsp.embedded.process import Order, Process

__all__ = ["api_process", "migration_order", "service_env", "worker_process"]

_PROBE_TIMEOUT_S = 2.0


def service_env(settings: Mapping[str, str]) -> dict[str, str]:
    """Our own environment with some settings changed, named as in `Settings`."""
    changed = {f"{ENV_PREFIX}{name.upper()}": value for name, value in settings.items()}
    return {**os.environ, **changed}


def migration_order(env: Mapping[str, str]) -> Order:
    """`optimized-tsp migrate`, which ends by itself."""
    return _order("migrate", env)


def api_process(env: Mapping[str, str], log: Path, *, host: str, port: int) -> Process:
    """`optimized-tsp serve`; ready when it says that it is."""
    return Process("API", _order("serve", env), log, is_ready=lambda _: _says_ready(host, port))


def worker_process(env: Mapping[str, str], log: Path, *, number: int = 1) -> Process:
    """`optimized-tsp worker`; jobs wait in the database until it is up."""
    return Process(f"worker {number}", _order("worker", env), log)


def _order(command: str, env: Mapping[str, str]) -> Order:
    # -P: the launcher's working directory is `/`, and nothing may be imported from there.
    return Order(command=(sys.executable, "-P", "-m", "optimized_tsp.cli.main", command), env=env)


def _says_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

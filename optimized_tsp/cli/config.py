"""`optimized-tsp config`."""

from __future__ import annotations

import json
import os
import sys

from pydantic import SecretStr

from optimized_tsp.cli.settings import load_client_settings
from optimized_tsp.core.config import ENV_PREFIX, Settings
from optimized_tsp.embedded.folder import running_stack

__all__ = ["show_config"]

_DERIVED = ("reporting_url", "api_url")
_RUNNING = "running embedded stack"


def show_config(settings: Settings, *, as_json: bool) -> None:
    """Print every setting with its source, and the addresses of what `up` runs right now."""
    values: dict[str, object] = {**dict(settings), **dict(load_client_settings())}
    sources = {name: _source(name) for name in values}
    stack = running_stack(settings.data_dir) or {}
    for name in ("database_url", "redis_url", *_DERIVED):
        if values.get(name) is None:
            values[name] = stack.get(name)
            sources[name] = _RUNNING if stack.get(name) else "nothing runs"
    if as_json:
        plain = {name: _plain(value) for name, value in values.items()}
        sys.stdout.write(json.dumps({**plain, "sources": sources}, indent=2) + "\n")
        return
    width = max(map(len, values))
    for name, value in values.items():
        shown = _masked(name, value)
        sys.stdout.write(f"{name:<{width}}  {shown}  ({sources[name]})\n")


def _source(name: str) -> str:
    variable = f"{ENV_PREFIX}{name}".upper()
    given = {name.upper() for name, value in os.environ.items() if value}  # empty is unset
    return f"environment: {variable}" if variable in given else "default"


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value if isinstance(value, str | int | float | None) else str(value)


def _masked(name: str, value: object) -> str:
    """The value for a screen somebody may look at: addresses without their passwords."""
    if value is None:
        return "-"
    if name in {"api_key", "metrics_token", "webhook_key"}:
        return "***"
    text = str(_plain(value))
    if not name.endswith("_url") or "@" not in text:
        return text
    scheme, _, rest = text.partition("://")
    login, _, address = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}:***@{address}"

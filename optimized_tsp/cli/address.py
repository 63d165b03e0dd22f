"""Where the service is, and the key that opens it."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from optimized_tsp.cli.exit_codes import CommandError, ExitCode
from optimized_tsp.cli.settings import load_client_settings, load_settings
from optimized_tsp.core.config import Settings
from optimized_tsp.embedded.folder import running_stack

__all__ = ["Address", "find_reporting_url", "find_service"]

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - whom to call, not to listen to


@dataclass(frozen=True, slots=True)
class Address:
    """A service and the key to it; `option` is what `--url` said, for commands we suggest."""

    url: str
    key: str | None = field(default=None, repr=False)
    option: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What every request and the websocket's handshake carry."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that no proxy is asked."""
        return httpx.URL(self.url).host in {"localhost", "127.0.0.1", "::1"}

    @property
    def live_url(self) -> str:
        """The same address for websockets."""
        return f"ws{self.url.removeprefix('http')}"

    def command(self, arguments: str) -> str:
        """A command line that calls the same service."""
        option = "" if self.option is None else f" --url {self.option}"
        return f"optimized-tsp {arguments}{option}"


def find_service(option: str | None) -> Address:
    """The option, else the environment, else what `up` runs here, else HOST and PORT."""
    client = load_client_settings()
    key = None if client.api_key is None else _checked_key(client.api_key.get_secret_value())
    given = option or client.url
    if given is not None:
        return Address(_checked_url(given), key, option)
    settings = load_settings()
    running = _running(settings).get("api_url")
    return Address(running or _configured_url(settings), key)


def find_reporting_url() -> str:
    """The database to read reports from, as asyncpg wants it; raises `CommandError`."""
    given = load_client_settings().reporting_url
    url = _running(load_settings()).get("reporting_url") if given is None else None
    found = url if given is None else given.get_secret_value()
    if found is None:
        raise CommandError(
            "there is no database to report on: start `optimized-tsp up`, or set "
            "OPTIMIZED_TSP_REPORTING_URL to a database of the service",
            ExitCode.UNREACHABLE,
        )
    return str(found).replace("postgresql+asyncpg://", "postgresql://", 1)


def _running(settings: Settings) -> dict[str, str]:
    try:
        return running_stack(settings.data_dir) or {}
    except PermissionError as error:
        raise CommandError(
            f"{error}: it belongs to another user. Say where the service is with --url or "
            "OPTIMIZED_TSP_URL.",
            ExitCode.ERROR,
        ) from None


def _configured_url(settings: Settings) -> str:
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _checked_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.query or url.fragment:
        raise CommandError(
            f"{text!r} is no address of a service; one looks like http://127.0.0.1:8000",
            ExitCode.USAGE,
        )
    return text.rstrip("/")


def _checked_key(text: str) -> str:
    key = text.strip()
    if not (key and key.isascii() and key.isprintable() and " " not in key):
        raise CommandError(
            "OPTIMIZED_TSP_API_KEY is no API key; one looks like otsp_...", ExitCode.USAGE
        )
    return key

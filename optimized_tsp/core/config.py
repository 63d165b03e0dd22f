"""Every setting of the service: environment variables with the prefix `OPTIMIZED_TSP_`."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import (
    Field,
    PostgresDsn,
    RedisDsn,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

__all__ = ["ENV_PREFIX", "Auth", "LogFormat", "LogLevel", "Settings"]

ENV_PREFIX = "OPTIMIZED_TSP_"

_HOST_PATTERN = re.compile(r"\*|(\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# Standard Webhooks 1.0, "Deliverability and reliability": ten attempts over about three days.
_RETRY_DELAYS_S = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
_LONGEST_RETRY_DELAY_S = 7 * 86400
_LEAST_WEBHOOK_KEY = 32


class LogFormat(StrEnum):
    """How log lines are written."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """Which log lines are written: these and what is graver."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Auth(StrEnum):
    """Whether callers need an API key."""

    OFF = "off"
    REQUIRED = "required"


def _default_data_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/optimized-tsp")
    return platformdirs.user_data_path("optimized-tsp", appauthor=False)


class Settings(BaseSettings):
    """Settings, read from the environment once per process. Times are in seconds."""

    # What was given is not shown in errors: it may be a password. Empty counts as unset: compose
    # passes on what its .env may not have.
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port the API listens on.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names, beside loopback's and HOST, by which callers may address the API, as"
        " a.example.org,*.b.example.org; one of a reverse proxy's, for instance.",
    )
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Folder of the embedded servers' data, passwords and logs.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Postgres, as postgresql://user:password@host:port/name, with libpq's"
        " parameters for TLS if it needs them (?sslmode=verify-full&sslrootcert=/path)."
        " Unset: embedded.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey, as redis://:password@host:port/0. Unset: embedded.",
    )
    workers: int = Field(
        default=2, ge=1, le=256, description="Worker processes of `up`; each solves one job."
    )
    solver_threads: int = Field(
        default_factory=lambda: min(8, os.cpu_count() or 1),
        ge=1,
        le=1024,
        description="Cores one solve may use.",
    )
    max_body_bytes: int = Field(
        default=32 * 2**20, ge=1024, description="Largest request body; a larger one gets 413."
    )
    max_nodes: int = Field(default=100_000, ge=1, description="Most nodes of one instance.")
    max_edges: int = Field(default=2_000_000, ge=1, description="Most edges of one instance.")
    max_timeout_s: float = Field(
        default=3600.0, gt=0, description="Largest time limit a job may ask for."
    )
    submit_batch: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="Most submissions that share a transaction when they come at the same time.",
    )
    submit_waiting_bytes: int = Field(
        default=256 * 2**20,
        ge=1024,
        le=2**30,
        description="Memory for submissions that wait for the database at the same time; while it"
        " is used up, others get 503.",
    )
    lease_s: float = Field(
        default=15.0,
        ge=1,
        description="How long a worker owns a job without a sign of life; renewed every third.",
    )
    log_format: LogFormat = Field(default=LogFormat.CONSOLE, description="Form of the log lines.")
    log_level: LogLevel = Field(
        default=LogLevel.INFO,
        description="Log lines below this level are left out: debug, info, warning or error."
        " `debug` adds every probe and every client that leaves the feed.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="What Prometheus sends as `Authorization: Bearer` to read /metrics; at least 16"
        " characters. Unset: /metrics is open with AUTH=off and closed with AUTH=required.",
    )
    traces_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/]+(/.*)?$",
        description="Where traces are sent by OTLP/HTTP, as http://collector:4318/v1/traces."
        " Unset: no traces.",
    )
    keep_events_days: float = Field(
        default=30.0, ge=0, description="Days for which events are kept; 0: for ever."
    )
    keep_logs_days: float = Field(
        default=30.0,
        ge=0,
        description="Days for which the lines of jobs' logs are kept; 0: for ever.",
    )
    keep_payloads_days: float = Field(
        default=0.0,
        ge=0,
        description="Days after its end for which a job's instance and solution can be read; the"
        " facts about them stay. 0: for ever.",
    )
    keep_deliveries_days: float = Field(
        default=30.0,
        ge=0,
        description="Days for which records of ended webhook deliveries are kept; 0: for ever.",
    )
    auth: Auth = Field(
        default=Auth.OFF,
        description="Whether callers need an API key; `off` only on a loopback address.",
    )
    webhook_key: SecretStr | None = Field(
        default=None,
        description="Encrypts the secrets of webhooks in the database; at least 32 random"
        " characters. Several with commas: the first encrypts, all decrypt. `up` makes one in"
        " DATA_DIR; without a key there are no webhooks.",
    )
    webhook_max_endpoints: int = Field(
        default=20, ge=1, le=1000, description="Most webhook endpoints a tenant may register."
    )
    webhook_allow_http: bool = Field(
        default=False,
        description="Whether webhooks may go to http:// addresses too, where anybody on the way"
        " can read and change them.",
    )
    webhook_allowed_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Networks that webhooks may reach although they are not public, as"
        " 10.20.0.0/16,fd00:1234::/32. Whoever may register a webhook can send requests there.",
    )
    webhook_ca_file: Path | None = Field(
        default=None,
        description="PEM file of certificate authorities that receivers of webhooks may use beside"
        " the public ones.",
    )
    webhook_retry_delays_s: Annotated[tuple[float, ...], NoDecode] = Field(
        default=_RETRY_DELAYS_S,
        description="Seconds from each failed attempt to deliver a webhook to the next one; after"
        " the last, the delivery has failed. Each is varied by up to a fifth.",
    )

    @field_validator(
        "allowed_hosts", "webhook_allowed_networks", "webhook_retry_delays_s", mode="before"
    )
    @classmethod
    def _split_list(cls, items: object) -> object:
        if isinstance(items, str):
            return tuple(item for part in items.split(",") if (item := part.strip()))
        return items

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST_PATTERN.fullmatch(host):
                raise ValueError(
                    f"{host!r} is no host name: write a.example.org, *.example.org or * for any, "
                    "without scheme and port"
                )
        return hosts

    @field_validator("webhook_key")
    @classmethod
    def _check_webhook_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None or not key.get_secret_value():
            return None
        if any(len(part) < _LEAST_WEBHOOK_KEY for part in key.get_secret_value().split(",")):
            raise ValueError(f"a key has at least {_LEAST_WEBHOOK_KEY} characters")
        return key

    @field_validator("webhook_allowed_networks")
    @classmethod
    def _check_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)  # its error names the network and what is wrong with it
        return networks

    @field_validator("webhook_retry_delays_s")
    @classmethod
    def _check_delays(cls, delays: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < delay <= _LONGEST_RETRY_DELAY_S for delay in delays):
            raise ValueError(f"every delay is above 0 and at most {_LONGEST_RETRY_DELAY_S} seconds")
        return delays

    @model_validator(mode="after")
    def _check_auth(self) -> Settings:
        if self.auth is Auth.OFF and self.host not in _LOOPBACK:
            raise ValueError(
                f"OPTIMIZED_TSP_AUTH=off is refused on {self.host}: anybody could submit jobs; "
                "set OPTIMIZED_TSP_AUTH=required or OPTIMIZED_TSP_HOST=127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _check_urls(self) -> Settings:
        if (self.database_url is None) != (self.redis_url is None):
            raise ValueError(
                "set both OPTIMIZED_TSP_DATABASE_URL and OPTIMIZED_TSP_REDIS_URL "
                "to use your own servers, or neither for the embedded ones"
            )
        if self.database_url is not None and self.redis_url is not None:
            _check_url("DATABASE_URL", PostgresDsn, self.database_url)
            _check_url("REDIS_URL", RedisDsn, self.redis_url)
        return self


def _check_url(name: str, kind: type[PostgresDsn | RedisDsn], url: SecretStr) -> None:
    """Name what is wrong without showing the address: it holds a password."""
    try:
        TypeAdapter(kind).validate_python(url.get_secret_value())
    except ValidationError as error:
        reason = error.errors(include_input=False)[0]["msg"]
        raise ValueError(f"{ENV_PREFIX}{name}: {reason}") from None

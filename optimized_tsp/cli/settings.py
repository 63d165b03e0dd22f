"""The settings of a command, from the environment."""

from __future__ import annotations

from typing import TypeVar

import typer
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from optimized_tsp.cli.exit_codes import ExitCode, complain
from optimized_tsp.core.config import ENV_PREFIX, Settings

__all__ = ["ClientSettings", "load_client_settings", "load_settings"]

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class ClientSettings(BaseSettings):
    """Settings of the commands that talk to a running service; empty counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    url: str | None = Field(
        default=None,
        description="Address of the service that commands call. Unset: what `up` runs here, "
        "else HOST and PORT.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="The API key they send, for a service that requires one."
    )
    reporting_url: SecretStr | None = Field(
        default=None,
        description="Postgres, as the reporting role, for `report`. Unset: what `up` runs here.",
    )


def load_settings() -> Settings:
    """The settings of the service; ends the command with one line per wrong one."""
    return _load(Settings)


def load_client_settings() -> ClientSettings:
    """The settings of the client; ends the command with one line per wrong one."""
    return _load(ClientSettings)


def _load(settings: type[SettingsT]) -> SettingsT:
    try:
        return settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            name = "".join(f"{ENV_PREFIX}{part}: ".upper() for part in problem["loc"])
            complain(f"{name}{problem['msg']}")
        raise typer.Exit(ExitCode.USAGE) from None

"""`optimized-tsp openapi`."""

from __future__ import annotations

import sys

import orjson
from pydantic import SecretStr

from optimized_tsp.api.app import create_app
from optimized_tsp.cli.exit_codes import ExitCode
from optimized_tsp.core.config import Settings

__all__ = ["run_openapi"]


def run_openapi(settings: Settings) -> ExitCode:
    """Print the OpenAPI document of the service these settings describe; nothing is connected."""
    nowhere = {
        "database_url": SecretStr("postgresql://localhost/nowhere"),
        "redis_url": SecretStr("redis://localhost/0"),
    }
    document = create_app(settings.model_copy(update=nowhere)).openapi()
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    return ExitCode.OK

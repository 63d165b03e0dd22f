"""`optimized-tsp migrate`."""

from __future__ import annotations

import asyncio
import sys

from asyncpg import InternalClientError
from sqlalchemy.exc import DBAPIError

from optimized_tsp.cli.database_errors import is_refusal, reason_of
from optimized_tsp.core.config import Settings
from optimized_tsp.core.outages import is_outage
from optimized_tsp.embedded.folder import running_stack
from optimized_tsp.reporting.migrate import MissingRoles, run_migrations

__all__ = ["run_migrate"]


def run_migrate(settings: Settings) -> int:
    """Migrate the configured database; return the exit code."""
    if settings.database_url is None:
        running = running_stack(settings.data_dir) is not None
        sys.stderr.write(
            "optimized-tsp: `up` has migrated the embedded database already.\n"
            if running
            else "optimized-tsp: set OPTIMIZED_TSP_DATABASE_URL to the database to migrate "
            "(`optimized-tsp up` migrates the embedded one by itself).\n"
        )
        return 0 if running else 1
    try:
        asyncio.run(run_migrations(settings.database_url.get_secret_value()))
    except MissingRoles as error:
        sys.stderr.write(f"optimized-tsp: {error}\n")
        return 1
    except (DBAPIError, InternalClientError, OSError) as error:
        if isinstance(error, DBAPIError) and not is_refusal(error) and not is_outage(error):
            raise  # a defect of ours
        sys.stderr.write(f"optimized-tsp: the database does not do it: {reason_of(error)}\n")
        return 1
    return 0

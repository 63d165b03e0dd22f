"""`python -m optimized_tsp.worker.health`: whether the worker in this container does its rounds.

The answer comes from Postgres, which knows when a worker at this address last asked it something;
the reconciler does so every few seconds for as long as the worker's event loop turns. So this also
fails while Postgres is away: a worker then finishes what it has, but takes nothing new. It tells
workers apart by their address, as containers have one each.
"""

from __future__ import annotations

import asyncio
import re
import sys

import asyncpg

from optimized_tsp.core.config import Settings

__all__ = ["APPLICATION_NAME", "heard_within", "main"]

APPLICATION_NAME = "tsp worker"
"""What a worker calls itself in Postgres."""

_SILENCE_S = 30.0
_TIMEOUT_S = 5.0
_SAID_BY_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_HEARD = """
    SELECT count(*) > 0
    FROM pg_stat_activity
    WHERE datname = current_database()
      AND application_name = $1
      AND client_addr IS NOT DISTINCT FROM inet_client_addr()
      AND state_change > now() - make_interval(secs => $2)
"""


async def heard_within(database_url: str, silence_s: float) -> bool:
    """Whether Postgres heard from a worker at this address in the last `silence_s` seconds.

    Raises OSError or asyncpg's errors when Postgres does not answer.
    """
    # Not the engine of core.database: importing SQLAlchemy is most of the cost of this program.
    address = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", database_url)
    connection = await asyncpg.connect(
        address,
        timeout=_TIMEOUT_S,
        command_timeout=_TIMEOUT_S,
        server_settings={"application_name": "tsp worker health"},
    )
    try:
        return bool(await connection.fetchval(_HEARD, APPLICATION_NAME, silence_s))
    finally:
        await connection.close(timeout=_TIMEOUT_S)


def main() -> int:
    """Exit status 0 when healthy, else 1 and a reason on stderr."""
    try:
        settings = Settings()
    except ValueError as error:
        sys.stderr.write(f"optimized-tsp: {error}\n")
        return 1
    if settings.database_url is None:
        sys.stderr.write("optimized-tsp: set OPTIMIZED_TSP_DATABASE_URL\n")
        return 1
    try:
        heard = asyncio.run(heard_within(settings.database_url.get_secret_value(), _SILENCE_S))
    except (OSError, *_SAID_BY_DRIVER) as error:
        sys.stderr.write(f"optimized-tsp: Postgres does not answer: {error!r}\n")
        return 1
    if not heard:
        sys.stderr.write(f"optimized-tsp: no word of the worker for {_SILENCE_S:g} s\n")
    return 0 if heard else 1


if __name__ == "__main__":
    sys.exit(main())

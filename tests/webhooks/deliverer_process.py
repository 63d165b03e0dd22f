"""A deliverer as a process of its own, for tests that kill it."""

from __future__ import annotations

import asyncio
import signal

from optimized_tsp.core.config import LogFormat
from optimized_tsp.core.database import Database
from optimized_tsp.core.logging import configure_logging
from optimized_tsp.webhooks.deliverer import Deliverer, Pace
from optimized_tsp.webhooks.resolve import SystemResolver
from optimized_tsp.webhooks.schedule import Schedule
from optimized_tsp.webhooks.transport import Transport, trusted_authorities
from tests.webhooks.conftest import BOX, LOOPBACK

LEASE_S = 1.0
TRUSTED = trusted_authorities(None)  # once, in the process that the others are forked from


def main(database_url: str) -> None:
    """Deliver until SIGTERM, or worse."""
    configure_logging(LogFormat.JSON)
    asyncio.run(_deliver(database_url))


async def _deliver(database_url: str) -> None:
    database = Database(database_url, application_name="tests")
    transport = Transport(LOOPBACK, TRUSTED, SystemResolver(), timeout_s=15.0)
    # One host may have half of them.
    pace = Pace(at_once=16, lease_s=LEASE_S, look_every_s=0.02, rest_idle_s=0.01)
    deliverer = Deliverer(database, transport, BOX, Schedule((0.1,) * 9), pace)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    running = asyncio.create_task(deliverer.run())
    await stop.wait()
    await deliverer.stop()
    await running
    await database.close()

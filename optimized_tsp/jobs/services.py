"""What the endpoints work with, made once per process by the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.tracing import Tracing
from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs.caller import Authenticator
from optimized_tsp.jobs.parser import SubmissionParser
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.submitting import Submitter
from optimized_tsp.jobs.waiting import Waiters

__all__ = ["Services", "ServicesDep"]


@dataclass(frozen=True, slots=True)
class Services:
    """Kept in `app.state.services`."""

    settings: Settings
    database: Database
    bus: Bus
    authenticator: Authenticator
    parser: SubmissionParser
    waiters: Waiters
    places: Places
    submitter: Submitter
    tracing: Tracing


async def _services(connection: HTTPConnection) -> Services:
    # A coroutine, though it awaits nothing: FastAPI runs plain functions in a thread.
    services: Services = connection.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]

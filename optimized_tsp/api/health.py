"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

from typing import Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from optimized_tsp.jobs.services import ServicesDep

__all__ = ["health_router"]

logger = structlog.get_logger(__name__)

health_router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What the service stands on; without Redis it works, only slower."""

    ready: bool
    database: bool
    redis: bool


@health_router.get("/healthz", summary="The process lives")
async def healthz() -> Health:
    """Always 200 while the process answers at all."""
    return Health()


@health_router.get(
    "/readyz", summary="The service can accept jobs", responses={503: {"model": Readiness}}
)
async def readyz(response: Response, services: ServicesDep) -> Readiness:
    """503 while Postgres does not answer."""
    try:
        async with services.database.read() as session:
            await session.execute(text("SELECT 1"))
        database = True
    except (SQLAlchemyError, OSError) as error:
        logger.warning("not_ready", error=repr(error))
        database = False
        response.status_code = 503
    return Readiness(ready=database, database=database, redis=await services.bus.ping())

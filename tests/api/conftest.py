"""The application in this process, on a real database, called over ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.jobs.services import Services
from tests.stack import WEBHOOK_KEY

JOBS = "/tsp_solver/v1/jobs"
TRIANGLE = {"tsp_instance": {"matrix": [[None, 1, 9], [9, None, 2], [3, 9, None]]}}


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(
        database_url=SecretStr(database_url.replace("+asyncpg", "")),
        redis_url=SecretStr(redis_url),
        webhook_key=SecretStr(WEBHOOK_KEY),
        max_body_bytes=2**20,
        max_nodes=1000,
        max_edges=5000,
    )


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def db(app: FastAPI) -> Database:
    """The application's own database."""
    services: Services = app.state.services
    return services.database

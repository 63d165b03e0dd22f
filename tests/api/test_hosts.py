"""By which names callers may address the service: pages of other sites must not reach it."""

from __future__ import annotations

import httpx
import pytest

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings


async def status(settings: Settings, host: str) -> int:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client,
    ):
        return (await client.get(f"http://{host}/healthz")).status_code


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
async def test_loopback_is_always_answered(settings: Settings, host: str) -> None:
    assert await status(settings, host) == 200


async def test_other_names_are_refused_unless_allowed(settings: Settings) -> None:
    assert await status(settings, "tours.example.org") == 400
    allowing = settings.model_copy(update={"allowed_hosts": ("tours.example.org", "*.example.com")})
    assert await status(allowing, "tours.example.org") == 200
    assert await status(allowing, "a.example.com:443") == 200
    assert await status(allowing, "example.net") == 400


async def test_the_refusal_says_what_to_do(settings: Settings) -> None:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client,
    ):
        response = await client.get("http://tours.example.org/healthz")
    assert response.headers["content-type"] == "application/problem+json"
    assert "OPTIMIZED_TSP_ALLOWED_HOSTS" in response.json()["detail"]

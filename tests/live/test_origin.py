"""Which pages may open the feed, and what the others are told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from websockets.exceptions import InvalidStatus

from optimized_tsp.live.origin import origin_allowed
from tests.live.conftest import Server, client_of


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "tsp.example.org"),
        (None, None),
        ("https://tsp.example.org", "tsp.example.org"),
        ("https://TSP.example.org:8443", "tsp.example.org:80"),
        ("http://localhost:3000", "127.0.0.1:8000"),
        ("http://127.0.0.1", "localhost:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://[::1]", "tsp.example.org"),
    ],
)
def test_allowed(origin: str | None, host: str | None) -> None:
    assert origin_allowed(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "tsp.example.org"),
        ("https://tsp.example.org.evil.example", "tsp.example.org"),
        ("https://evil.example", None),
        ("null", "localhost:8000"),
        ("", "localhost:8000"),
        ("file://localhost", "localhost"),
        ("http://[::1", "[::1"),
        ("localhost", "localhost"),
        ("http://localhost.evil.example", "localhost"),
        ("http://", ""),
        ("http://127.0.0.1@evil.example", "127.0.0.1"),
    ],
)
def test_refused(origin: str, host: str | None) -> None:
    assert not origin_allowed(origin, host)


async def refused(server: Server, path: str, **options: Any) -> tuple[int, dict[str, object]]:
    with pytest.raises(InvalidStatus) as refusal:
        async with client_of(server, path, **options):
            pass
    response = refusal.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, orjson.loads(response.body or b"")


async def test_a_page_of_another_site_is_refused_before_the_handshake(server: Server) -> None:
    status, problem = await refused(server, "/live", origin="https://evil.example")
    assert (status, problem["status"]) == (403, 403)
    assert "evil.example" in str(problem["detail"])


async def test_a_page_of_this_host_is_welcome(server: Server) -> None:
    async with client_of(server, origin=f"http://127.0.0.1:{server.port}") as client:
        await client.subscribe()


@pytest.mark.parametrize("path", ["/chess_solver/v1/live", "/tsp_solver/v9/live"])
async def test_an_unknown_solver_is_not_found(server: Server, path: str) -> None:
    status, problem = await refused(server, path)
    assert (status, problem["code"]) == (404, "not-found")
    assert problem["instance"] == path


async def test_wishes_in_the_query_are_not_silently_passed_over(server: Server) -> None:
    status, problem = await refused(server, "/live?tag=team:north")
    assert (status, problem["code"], problem["pointer"]) == (422, "unknown_parameter", "/query")
    assert "subscribe" in str(problem["detail"])

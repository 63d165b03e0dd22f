"""Health, documentation without internet, and what happens while a server is away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings
from optimized_tsp.embedded.identity import free_port
from tests.api.conftest import JOBS, TRIANGLE
from tests.promises import promised
from tests.stack import Servers, TestDatabase


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


async def test_alive_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "database": True, "redis": True}


async def test_without_redis_jobs_are_still_accepted_quickly(settings: Settings) -> None:
    nowhere = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    async with client_of(settings.model_copy(update={"redis_url": nowhere})) as client:
        with promised(2):
            submitted = await client.post(JOBS, json=TRIANGLE)

        ready = await client.get("/readyz")

    assert submitted.status_code == 202
    assert (ready.status_code, ready.json()["redis"]) == (200, False)


async def test_without_postgres_the_answer_is_503_with_a_time_to_retry(settings: Settings) -> None:
    nowhere = SecretStr(f"postgresql://app@127.0.0.1:{free_port()}/optimized_tsp")
    async with client_of(settings.model_copy(update={"database_url": nowhere})) as client:
        ready = await client.get("/readyz")
        submitted = await client.post(JOBS, json=TRIANGLE)
        listed = await client.get(JOBS)

    assert ready.status_code == 503
    assert ready.json()["database"] is False
    for response in (submitted, listed):
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert response.headers["content-type"] == "application/problem+json"
        assert "Idempotency-Key" in response.json()["detail"]


async def test_a_database_with_no_room_for_us_is_an_outage(
    settings: Settings, servers: Servers, database: TestDatabase
) -> None:
    servers.run_sql(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    async with client_of(settings) as client:
        ready = await client.get("/readyz")
        answers = [await client.post(JOBS, json=TRIANGLE), await client.get(JOBS)]

    assert ready.status_code == 503
    assert [answer.status_code for answer in answers] == [503, 503]


async def test_a_database_that_refuses_us_is_not_ready(settings: Settings) -> None:
    assert settings.database_url is not None
    stranger = re.sub(r"//[^@]+@", "//stranger:x@", settings.database_url.get_secret_value())
    async with client_of(
        settings.model_copy(update={"database_url": SecretStr(stranger)})
    ) as client:
        ready = await client.get("/readyz")
        submitted = await client.post(JOBS, json=TRIANGLE)

    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "database": False, "redis": True}
    assert (submitted.status_code, submitted.json()["status"]) == (500, 500)  # no use to try again


async def test_the_documentation_page_needs_no_other_host(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert addresses
    for address in addresses:
        assert address.startswith("/"), f"{address} is on another host"
        assert (await client.get(address)).status_code == 200


async def test_openapi_describes_every_call_and_its_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    submit = document["paths"][JOBS]["post"]
    body = submit["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = document["components"]["schemas"][body.rpartition("/")[2]]
    assert {"tsp_instance", "optimization_parameters", "name", "tags"} <= set(schema["properties"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], f"{method} {path}"
            problem = operation["responses"]["default"]["content"]["application/problem+json"]
            assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}


async def test_every_reference_in_the_document_resolves(client: httpx.AsyncClient) -> None:
    text = (await client.get("/openapi.json")).text
    schemas = httpx.Response(200, text=text).json()["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert references <= set(schemas)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])  # noqa: S104 - refused is the point
def test_without_keys_the_service_stays_on_loopback(host: str) -> None:
    with pytest.raises(ValueError, match="refused"):
        Settings(host=host)

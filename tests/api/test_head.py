"""HEAD says what GET would say, without its content."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import FastAPI

from tests.api.conftest import JOBS, TRIANGLE
from tests.conftest import StartStack


async def test_head_answers_like_get_on_every_path(app: FastAPI, client: httpx.AsyncClient) -> None:
    job = (await client.post(JOBS, json=TRIANGLE)).json()
    paths = [
        path.replace("{task_id}", job["task_id"])
        for path, operations in app.openapi()["paths"].items()
        if "get" in operations
    ]
    assert len(paths) >= 10

    for path in [*paths, "/docs", "/openapi.json", "/nowhere", f"{JOBS}/validate"]:
        get, head = await client.get(path), await client.head(path)
        assert head.status_code == get.status_code, path
        assert head.headers.get("content-type") == get.headers.get("content-type"), path
        assert head.headers.get("allow") == get.headers.get("allow"), path
        assert head.content == b"", path


async def test_what_is_allowed_names_head_beside_get(client: httpx.AsyncClient) -> None:
    job = (await client.post(JOBS, json=TRIANGLE)).json()
    for path, allowed in (
        (JOBS, "DELETE, GET, HEAD, POST"),
        (f"{JOBS}/{job['task_id']}", "DELETE, GET, HEAD"),
        (f"{JOBS}/validate", "POST"),
        ("/healthz", "GET, HEAD"),
    ):
        response = await client.put(path)
        assert response.status_code == 405
        assert response.headers["allow"] == allowed


async def test_over_the_network_the_connection_stays_usable(start_stack: StartStack) -> None:
    # Given a job that waits, whose stream of events would not end
    stack = start_stack(workers=0)
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=10) as client:
        job = (await client.post(JOBS, json=TRIANGLE)).json()
        url = f"{JOBS}/{job['task_id']}"
        async with asyncio.timeout(10):
            stream = await client.head(f"{url}/events", headers={"accept": "text/event-stream"})
            shown, head = await client.get(url), await client.head(url)

    assert stream.status_code == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert head.headers["content-length"] == str(len(shown.content))
    assert "unexpected_error" not in stack.logs()

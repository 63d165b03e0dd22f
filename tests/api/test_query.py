"""A query parameter that a call does not have is refused by name, on every call."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI

from optimized_tsp.core.ids import new_id
from tests.api.conftest import JOBS, TRIANGLE


async def test_a_typing_error_is_told_the_names_there_are(client: httpx.AsyncClient) -> None:
    response = await client.get(f"{JOBS}?stauts=Completed&limit=5")

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    (error,) = response.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/query/stauts", "unknown_parameter")
    assert error["message"].endswith(
        "there are cursor, limit, name, status, submitted_after, submitted_before, tag"
    )


async def test_every_call_refuses_what_it_does_not_have(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    job = (await client.post(JOBS, json=TRIANGLE)).json()
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            delivery = path.replace("{delivery_id}", f"msg_{new_id().hex}")
            url = re.sub(r"{\w+_id}", job["task_id"], delivery)
            response = await client.request(method, url, params={"a/b": "1"})
            assert response.status_code == 422, f"{method} {path}"
            assert response.json()["errors"][0]["pointer"] == "/query/a~1b", f"{method} {path}"
    assert (await client.get(f"{JOBS}/{job['task_id']}")).json()["status"] == "Submitted"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=1&limit=2", 422),
        ("name=a&name=b", 422),
        ("name=a&name=a", 422),
        ("status=Running&status=Failed", 200),
        ("tag=a:1&tag=b:2", 200),
        ("", 200),
    ],
)
async def test_only_lists_may_be_given_more_than_once(
    client: httpx.AsyncClient, query: str, status: int
) -> None:
    assert (await client.get(f"{JOBS}?{query}")).status_code == status

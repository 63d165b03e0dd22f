"""Submissions that are repeated, and requests that wait for the end."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text

from optimized_tsp.jobs import answers, leases
from optimized_tsp.jobs.answers import Answer
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.services import Services
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from tests.api.conftest import JOBS, TRIANGLE

TOUR = {"node_order": [0, 1, 2], "cost": 6}
OPTIMAL = Answer(SolutionStatus.OPTIMAL, StopReason.PROVEN, TOUR, 6, None, None, 0.1)
OTHER = {"tsp_instance": {"matrix": [[None, 7], [7, None]]}}


@pytest.fixture
def services(app: FastAPI) -> Services:
    services: Services = app.state.services
    return services


async def job_count(services: Services) -> int:
    async with services.database.read() as session:
        return int(await session.scalar(select(func.count()).select_from(Job)) or 0)


async def solve_one(services: Services) -> bool:
    """Solve the oldest waiting job; False when none waits."""
    claim = await leases.claim_next(services.database, worker="test", lease_s=15)
    if claim is None:
        return False
    async with services.database.write() as session:
        await answers.finish(session, claim, OPTIMAL)
    services.bus.announce(claim.job_id)
    return True


async def post(client: httpx.AsyncClient, key: str, body: Any = TRIANGLE) -> httpx.Response:
    return await client.post(JOBS, json=body, headers={"Idempotency-Key": key})


async def test_the_same_key_and_body_give_the_same_job(
    client: httpx.AsyncClient, services: Services
) -> None:
    first, again = await post(client, "order-17"), await post(client, "order-17")

    assert first.status_code == again.status_code == 202
    assert first.json()["task_id"] == again.json()["task_id"]
    assert first.headers["location"] == again.headers["location"]
    assert await job_count(services) == 1


async def test_the_same_key_with_another_body_is_refused(
    client: httpx.AsyncClient, services: Services
) -> None:
    await post(client, "order-17")

    response = await post(client, "order-17", OTHER)

    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "key_reused"
    assert await job_count(services) == 1


async def test_many_at_once_with_one_key_make_one_job(
    client: httpx.AsyncClient, services: Services
) -> None:
    responses = await asyncio.gather(*(post(client, "order-17") for _ in range(12)))

    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["task_id"] for response in responses}) == 1
    assert await job_count(services) == 1


async def test_a_key_is_forgotten_after_a_day(
    client: httpx.AsyncClient, services: Services
) -> None:
    first = await post(client, "order-17")
    async with services.database.write() as session:
        await session.execute(
            text("UPDATE idempotency_keys SET created_at = now() - interval '25 h'")
        )

    second = await post(client, "order-17", OTHER)

    assert second.status_code == 202
    assert second.json()["task_id"] != first.json()["task_id"]


@pytest.mark.parametrize("key", ["", "with space", "x" * 256])
async def test_a_malformed_key_is_refused(client: httpx.AsyncClient, key: str) -> None:
    assert (await post(client, key)).status_code == 422


async def test_waiting_answers_200_as_soon_as_the_job_has_ended(
    client: httpx.AsyncClient, services: Services
) -> None:
    waiting = asyncio.create_task(client.post(JOBS, json=TRIANGLE, headers={"Prefer": "wait=30"}))
    async with asyncio.timeout(10):
        while not await solve_one(services):
            pass

    response = await asyncio.wait_for(waiting, 10)

    assert response.status_code == 200
    assert response.json()["status"] == "Completed"
    assert response.headers["preference-applied"] == "wait=30"


async def test_waiting_in_vain_answers_202(client: httpx.AsyncClient) -> None:
    response = await client.post(JOBS, json=TRIANGLE, headers={"Prefer": "wait=1"})
    assert (response.status_code, response.json()["status"]) == (202, "Submitted")


@pytest.mark.parametrize("prefer", ["wait", "wait=x", "wait=61", "wait=-1", "wait=" + "1" * 5000])
async def test_a_bad_preference_is_refused(client: httpx.AsyncClient, prefer: str) -> None:
    response = await client.post(JOBS, json=TRIANGLE, headers={"Prefer": prefer})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/Prefer"


@pytest.mark.parametrize(
    "prefer", ["respond-async, wait=1", "WAIT = 1", 'wait="1"; unit=s', "handling=lenient,wait=1"]
)
async def test_a_preference_is_found_among_others(client: httpx.AsyncClient, prefer: str) -> None:
    response = await client.post(JOBS, json=TRIANGLE, headers={"Prefer": prefer})
    assert response.headers["preference-applied"] == "wait=1"


async def test_preferences_of_other_kinds_are_passed_over(client: httpx.AsyncClient) -> None:
    response = await client.post(JOBS, json=TRIANGLE, headers={"Prefer": "return=minimal"})
    assert response.status_code == 202
    assert "preference-applied" not in response.headers


async def test_the_key_of_a_removed_job_makes_no_other(
    client: httpx.AsyncClient, services: Services
) -> None:
    first = await post(client, "order-17")
    await client.delete(first.headers["location"], params={"purge": "true"})

    again = await post(client, "order-17")

    assert again.status_code == 409
    assert first.json()["task_id"] in again.json()["detail"]
    assert await job_count(services) == 1

"""The calls on jobs, without a worker: what is stored, shown, paged, cancelled and removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from sqlalchemy import func, select, text

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.events.models import Event
from optimized_tsp.jobs import answers, leases, outcomes
from optimized_tsp.jobs.answers import Answer
from optimized_tsp.jobs.models import Instance, Job
from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from tests.api.conftest import JOBS, TRIANGLE

_STORED_BY = text(
    "SELECT jobs.xmin AS job, instances.xmin AS instance"
    " FROM jobs JOIN instances ON digest = instance_digest"
)
TOUR = {"node_order": [0, 1, 2], "cost": 6}


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    assert settings.database_url is not None
    database = Database(settings.database_url.get_secret_value(), application_name="tests")
    yield database
    await database.close()


async def submit(client: httpx.AsyncClient, **extra: Any) -> dict[str, Any]:
    response = await client.post(JOBS, json=TRIANGLE | extra)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


async def finish(db: Database, answer: Answer) -> None:
    claim = await leases.claim_next(db, worker="test", lease_s=15)
    assert claim is not None
    async with db.write() as session:
        await answers.finish(session, claim, answer)


OPTIMAL = Answer(SolutionStatus.OPTIMAL, StopReason.PROVEN, TOUR, 6, None, {"nodes": 1}, 0.1)
INFEASIBLE = Answer(
    SolutionStatus.INFEASIBLE,
    StopReason.PROVEN,
    None,
    None,
    {"kind": "no_outgoing_edge", "nodes": [2], "message": "Node 2 has no outgoing edge."},
    None,
    0.1,
)


async def test_a_submission_is_stored_before_it_is_answered(
    client: httpx.AsyncClient, db: Database
) -> None:
    response = await client.post(JOBS, json=TRIANGLE | {"name": "mine", "tags": {"depot": "north"}})

    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"{JOBS}/{job['task_id']}"
    assert (job["status"], job["name"], job["tags"]) == ("Submitted", "mine", {"depot": "north"})
    assert (job["queue_position"], job["attempt"], job["progress"]) == (1, 0, 0.0)
    assert job["submitted_at"].endswith("Z")
    assert job["cost"] is None
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(Job)) == 1
        event = (await session.scalars(select(Event))).one()
        stored_by = (await session.execute(_STORED_BY)).one()
    assert (event.seq, event.type) == (1, "job.submitted")
    # The event is given its place in the feed by another transaction, and its number with that.
    assert stored_by.job == stored_by.instance


async def test_the_same_instance_is_stored_once(client: httpx.AsyncClient, db: Database) -> None:
    await submit(client)
    reordered = {"tsp_instance": dict(reversed(TRIANGLE["tsp_instance"].items()))}
    await client.post(
        JOBS, content=orjson.dumps(reordered), headers={"content-type": "application/json"}
    )

    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(Job)) == 2
        assert await session.scalar(select(func.count()).select_from(Instance)) == 1


async def test_status_and_solution_while_it_runs_and_after(
    client: httpx.AsyncClient, db: Database
) -> None:
    url = f"{JOBS}/{(await submit(client))['task_id']}"
    assert (await client.get(f"{url}/solution")).status_code == 404
    claim = await leases.claim_next(db, worker="test", lease_s=15)
    assert claim is not None
    async with db.write() as session:
        await outcomes.save_progress(session, claim, Progress(TOUR, 3, 0.1))

    running, best = (await client.get(url)).json(), (await client.get(f"{url}/solution")).json()
    assert (running["status"], running["cost"], running["gap"]) == ("Running", 6, 0.5)
    assert (best["final"], best["node_order"], best["cost"]) == (False, [0, 1, 2], 6)

    async with db.write() as session:
        await answers.finish(session, claim, OPTIMAL)
    ended, final = (await client.get(url)).json(), (await client.get(f"{url}/solution")).json()
    assert (ended["status"], ended["solution_status"], ended["progress"]) == (
        "Completed",
        "optimal",
        1.0,
    )
    assert (final["final"], final["is_infeasible"], final["gap"]) == (True, False, 0.0)
    assert final["statistics"] == {"nodes": 1}


async def test_infeasible_is_an_answer_with_a_certificate(
    client: httpx.AsyncClient, db: Database
) -> None:
    url = f"{JOBS}/{(await submit(client))['task_id']}"
    await finish(db, INFEASIBLE)

    job, solution = await client.get(url), await client.get(f"{url}/solution")

    assert (job.json()["status"], job.json()["is_infeasible"]) == ("Completed", True)
    assert solution.status_code == 200
    shown = solution.json()
    assert [shown[key] for key in ("node_order", "cost", "lower_bound")] == [None, None, None]
    assert shown["is_infeasible"] is True
    assert shown["infeasibility"]["nodes"] == [2]


async def test_lists_are_newest_first_and_pages_meet_without_gap_or_repeat(
    client: httpx.AsyncClient,
) -> None:
    submitted = [(await submit(client))["task_id"] for _ in range(7)]

    seen: list[str] = []
    url: str | None = f"{JOBS}?limit=3"
    pages = 0
    while url is not None:
        page = await client.get(url)
        seen += [job["task_id"] for job in page.json()]
        url = page.links["next"]["url"] if "next" in page.links else None
        pages += 1

    assert seen == submitted[::-1]
    assert pages == 3


async def test_lists_can_be_filtered_by_status(client: httpx.AsyncClient, db: Database) -> None:
    done, waiting = (await submit(client))["task_id"], (await submit(client))["task_id"]
    await finish(db, OPTIMAL)

    async def listed(query: str) -> list[str]:
        return [job["task_id"] for job in (await client.get(f"{JOBS}?{query}")).json()]

    assert await listed("status=Completed") == [done]
    assert await listed("status=Submitted") == [waiting]
    assert await listed("status=Submitted&status=Completed") == [waiting, done]


async def test_positions_in_the_queue_are_the_same_in_a_list_and_alone(
    client: httpx.AsyncClient, db: Database
) -> None:
    submitted = [(await submit(client))["task_id"] for _ in range(4)]
    await finish(db, OPTIMAL)

    listed = (await client.get(JOBS)).json()

    assert [job["task_id"] for job in listed] == submitted[::-1]
    assert [job["queue_position"] for job in listed] == [3, 2, 1, None]
    assert [(await client.get(f"{JOBS}/{job['task_id']}")).json() for job in listed] == listed


async def test_every_tag_asked_for_has_to_match(client: httpx.AsyncClient) -> None:
    job = await submit(client, tags={"depot": "north", "day": "monday"})

    async def listed(query: str) -> list[str]:
        return [job["task_id"] for job in (await client.get(f"{JOBS}?{query}")).json()]

    assert await listed("tag=depot:north&tag=day:monday") == [job["task_id"]]
    assert await listed("tag=depot:south&tag=depot:north") == []
    assert await listed("tag=depot:north&tag=depot:south") == []


async def test_cancelling_a_waiting_job_ends_it_at_once_and_repeats_safely(
    client: httpx.AsyncClient, db: Database
) -> None:
    url = f"{JOBS}/{(await submit(client))['task_id']}"

    first, again = await client.post(f"{url}/cancel"), await client.post(f"{url}/cancel")

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["status"] == again.json()["status"] == "Cancelled"
    async with db.read() as session:
        types = (await session.scalars(select(Event.type).order_by(Event.seq))).all()
    assert types == ["job.submitted", "job.cancelled"]


async def test_cancelling_a_running_job_asks_its_worker(
    client: httpx.AsyncClient, db: Database
) -> None:
    url = f"{JOBS}/{(await submit(client))['task_id']}"
    claim = await leases.claim_next(db, worker="test", lease_s=15)
    assert claim is not None

    job = (await client.post(f"{url}/cancel")).json()

    assert (job["status"], job["cancel_requested"]) == ("Running", True)
    async with db.read() as session:
        assert await leases.stop_requested(session, claim)


async def test_cancelling_an_ended_job_changes_nothing(
    client: httpx.AsyncClient, db: Database
) -> None:
    url = f"{JOBS}/{(await submit(client))['task_id']}"
    await finish(db, OPTIMAL)

    response = await client.post(f"{url}/cancel")

    assert (response.status_code, response.json()["status"]) == (202, "Completed")
    assert response.json()["cancel_requested"] is False


async def test_delete_cancels_what_is_active_and_removes_what_has_ended(
    client: httpx.AsyncClient, db: Database
) -> None:
    done = f"{JOBS}/{(await submit(client))['task_id']}"
    await finish(db, OPTIMAL)
    waiting = f"{JOBS}/{(await submit(client))['task_id']}"

    cancelled, again = await client.delete(waiting), await client.delete(waiting)
    assert [(r.status_code, r.json()["status"]) for r in (cancelled, again)] == [
        (202, "Cancelled"),
        (202, "Cancelled"),
    ]
    assert (await client.delete(f"{waiting}?purge=true")).status_code == 204
    assert (await client.delete(done)).status_code == 204
    # Then no call finds them any more
    paths = (await client.get("/openapi.json")).json()["paths"]
    below = {path: calls for path, calls in paths.items() if path.startswith(f"{JOBS}/{{task_id}}")}
    assert len(below) >= 6
    for gone in (waiting, done):
        for path, calls in below.items():
            url = path.replace(f"{JOBS}/{{task_id}}", gone)
            for method in calls:
                assert (await client.request(method, url)).status_code == 404, f"{method} {path}"
    assert (await client.get(JOBS)).json() == []
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(Job)) == 2


async def test_an_unknown_job_solver_or_version_is_not_found(client: httpx.AsyncClient) -> None:
    for path in (
        f"{JOBS}/{uuid4()}",
        f"{JOBS}/{uuid4()}/solution",
        f"/tsp_solver/v9/jobs/{uuid4()}",
        "/sudoku_solver/v1/jobs",
    ):
        response = await client.get(path)
        assert response.status_code == 404, path
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"]

"""Request ids, metrics and their documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

import optimized_tsp
from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Auth, Settings
from optimized_tsp.core.totals import Tally
from optimized_tsp.jobs.metrics import count_rescue
from optimized_tsp.jobs.services import Services
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.solvers.registry import all_solvers
from tests.api.conftest import JOBS, TRIANGLE
from tests.api.test_events import run_job
from tests.stack import Servers, TestDatabase

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
TOKEN = "a token of twenty ch"  # noqa: S105


async def scrape(client: httpx.AsyncClient) -> dict[str, float]:
    """Every sample, by `name{label=value,…}` with labels sorted."""
    response = await client.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return dict(samples(response.text))


def samples(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            yield f"{sample.name.removeprefix('optimized_tsp_')}{{{labels}}}", sample.value


async def test_what_waits_and_what_became_of_jobs_is_counted_once_on_every_replica(
    client: httpx.AsyncClient, app: FastAPI, settings: Settings
) -> None:
    for _ in range(2):
        await client.post(JOBS, json=TRIANGLE)
    await run_job(app)
    waiting = (await client.get(JOBS, params={"status": "Submitted"})).json()[0]["task_id"]
    before = await scrape(client)
    await client.post(f"{JOBS}/{waiting}/cancel")

    other = create_app(settings)
    async with other.router.lifespan_context(other):
        transport = httpx.ASGITransport(other)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as second:
            there = await scrape(second)
    here = await scrape(client)

    tsp = "solver=tsp,version=v1"
    assert before[f"jobs_waiting{{{tsp}}}"] == 1
    assert before[f"jobs_oldest_wait_seconds{{{tsp}}}"] > 0
    assert here[f"jobs_waiting{{{tsp}}}"] == here[f"jobs_oldest_wait_seconds{{{tsp}}}"] == 0
    for found in (here, there):
        assert found[f"jobs_submitted_total{{{tsp}}}"] == 2
        assert found[f"job_starts_total{{{tsp}}}"] == 1
        assert found[f"job_wait_seconds_count{{{tsp}}}"] == 1
        assert found[f"job_wait_seconds_bucket{{le=+Inf,{tsp}}}"] == 1
        assert 0 < found[f"job_wait_seconds_sum{{{tsp}}}"] < 60
        assert found[f"job_solve_seconds_bucket{{le=0.05,{tsp}}}"] == 1  # the cancelled one
        assert found[f"job_solve_seconds_bucket{{le=0.1,{tsp}}}"] == 2
        assert (
            found[
                "jobs_ended_total{solution_status=optimal,solver=tsp,status=completed,version=v1}"
            ]
            == 1
        )
        assert (
            found[
                "jobs_ended_total{solution_status=unknown,solver=tsp,status=cancelled,version=v1}"
            ]
            == 1
        )


async def test_every_series_is_there_before_anything_happens(
    client: httpx.AsyncClient, app: FastAPI, database: TestDatabase, servers: Servers
) -> None:
    fresh = await scrape(client)
    for name, version in all_solvers():
        solver = f"solver={name},version={version}"
        gauges = {"waiting": 0, "running": 0, "oldest_wait_seconds": 0}
        assert gauges == {gauge: fresh[f"jobs_{gauge}{{{solver}}}"] for gauge in gauges}
        for counter in ("jobs_submitted", "job_starts", "solver_crashes"):
            assert fresh[f"{counter}_total{{{solver}}}"] == 0
        for histogram in ("job_wait_seconds", "job_solve_seconds"):
            assert fresh[f"{histogram}_bucket{{le=+Inf,{solver}}}"] == 0
    for status in ("submitted", "failed", "cancelled"):
        assert fresh[f"job_rescues_total{{status={status}}}"] == 0
    assert fresh["webhook_attempts_total{result=failed}"] == 0
    assert fresh[f"info{{version={optimized_tsp.__version__}}}"] == 1

    # What happens then changes values, and adds no series
    await client.post(JOBS, json=TRIANGLE)
    await run_job(app)
    tally = Tally()
    for status in (JobStatus.SUBMITTED, JobStatus.FAILED, JobStatus.CANCELLED):
        count_rescue(tally, status)
    services: Services = app.state.services
    await tally.write(services.database)
    # A worker of the version before has another spelling
    servers.run_sql(
        "INSERT INTO metric_totals VALUES ('job_rescues', '{\"status\":\"Failed\"}', 2)",
        database=database.name,
    )
    later = await scrape(client)

    ours = {name for name in later if not name.startswith(("http_", "process_", "python_"))}
    assert ours <= set(fresh)
    assert later["job_rescues_total{status=failed}"] == 3
    assert later["jobs_submitted_total{solver=tsp,version=v1}"] == 1


async def test_counts_of_workers_add_up_whoever_wrote_them(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    services: Services = app.state.services
    for crashes in (1, 2):
        tally = Tally()
        tally.count("solver_crashes", crashes, solver="tsp", version="v1")
        tally.observe("worker_event_loop_lag_seconds", 0.3, (0.25, 0.5))
        await tally.write(services.database)
        await tally.write(services.database)  # nothing is left to add

    found = await scrape(client)

    assert found["solver_crashes_total{solver=tsp,version=v1}"] == 3
    assert found["worker_event_loop_lag_seconds_bucket{le=0.5}"] == 2
    assert found["worker_event_loop_lag_seconds_bucket{le=0.25}"] == 0
    assert found["worker_event_loop_lag_seconds_sum{}"] == pytest.approx(0.6)


async def test_requests_are_counted_by_route_not_by_path(client: httpx.AsyncClient) -> None:
    job = (await client.post(JOBS, json=TRIANGLE)).json()["task_id"]
    await client.get(f"{JOBS}/{job}")
    await client.head(f"{JOBS}/{job}")
    await client.get("/no/such/path")
    await client.request("BREW", "/no/such/path")

    found = await scrape(client)

    route = "/tsp_solver/v1/jobs/{task_id}"
    assert found[f"http_requests_total{{method=GET,route={route},status=200}}"] == 2
    assert found["http_requests_total{method=POST,route=/tsp_solver/v1/jobs,status=202}"] == 1
    assert found["http_requests_total{method=GET,route=unknown,status=404}"] == 1
    assert found["http_requests_total{method=unknown,route=unknown,status=404}"] == 1
    assert found[f"http_request_seconds_count{{method=GET,route={route}}}"] == 2
    assert not any(job in name for name in found)


async def test_every_metric_is_documented_and_every_documented_one_is_there(
    client: httpx.AsyncClient,
) -> None:
    rows = re.findall(r"^\| `(optimized_tsp_\w+)` \| (\w+) \| (.*?) \|", PAGE, re.MULTILINE)
    written = {name.removesuffix("_total"): kind for name, kind, _ in rows}

    text = (await client.get("/metrics")).text
    there = {
        family.name: family.type
        for family in text_string_to_metric_families(text)
        if family.name.startswith("optimized_tsp_")
    }

    assert there == written
    named = set(re.findall(r"optimized_tsp_\w+", PAGE.partition("Alerts")[2]))
    assert {re.sub("_(total|bucket)$", "", name) for name in named} <= set(there)


@pytest.mark.parametrize(
    ("auth", "token", "sent", "status"),
    [
        (Auth.OFF, None, None, 200),
        (Auth.OFF, TOKEN, None, 401),
        (Auth.REQUIRED, None, None, 401),
        (Auth.REQUIRED, TOKEN, None, 401),
        (Auth.REQUIRED, TOKEN, TOKEN + "x", 401),
        (Auth.REQUIRED, TOKEN, TOKEN, 200),
    ],
)
async def test_metrics_are_protected(
    settings: Settings, auth: Auth, token: str | None, sent: str | None, status: int
) -> None:
    secret = None if token is None else SecretStr(token)
    app = create_app(settings.model_copy(update={"auth": auth, "metrics_token": secret}))
    headers = {} if sent is None else {"Authorization": f"Bearer {sent}"}
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert (await client.get("/metrics", headers=headers)).status_code == status


async def test_metrics_answer_without_a_database(settings: Settings) -> None:
    nowhere = SecretStr("postgresql://nobody:x@127.0.0.1:9/nothing")
    app = create_app(settings.model_copy(update={"database_url": nowhere}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            found = await scrape(client)
    assert (found["database_up{}"], found["redis_up{}"]) == (0, 1)
    assert "event_loop_lag_seconds_count{}" in found


async def test_metrics_say_that_redis_is_away(settings: Settings) -> None:
    nowhere = SecretStr("redis://127.0.0.1:9/0")
    app = create_app(settings.model_copy(update={"redis_url": nowhere}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            found = await scrape(client)
    assert (found["database_up{}"], found["redis_up{}"]) == (1, 0)


async def test_a_defect_is_not_taken_for_a_database_that_is_away(
    client: httpx.AsyncClient,
    servers: Servers,
    database: TestDatabase,
    said: Callable[[], str],
) -> None:
    servers.run_sql("ALTER TABLE metric_totals RENAME TO elsewhere", database=database.name)
    response = await client.get("/metrics")
    servers.run_sql("ALTER TABLE elsewhere RENAME TO metric_totals", database=database.name)

    assert response.status_code == 500
    assert "Traceback" in said()
    assert "UndefinedTableError" in said()
    assert (await scrape(client))["database_up{}"] == 1


@pytest.mark.parametrize("sent", ["mine-17", "a.b:c/d+e=f_g", "x" * 128])
async def test_a_request_id_comes_back(client: httpx.AsyncClient, sent: str) -> None:
    for path in ("/healthz", "/nowhere", f"{JOBS}/00000000-0000-7000-8000-000000000000"):
        response = await client.get(path, headers={"X-Request-ID": sent})
        assert response.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", [None, "", "two words", "x" * 129, "é", "a\tb"])
async def test_what_is_no_request_id_is_replaced(
    client: httpx.AsyncClient, sent: str | None
) -> None:
    headers = {} if sent is None else {b"X-Request-ID": sent.encode()}
    made = [(await client.get("/healthz", headers=headers)).headers for _ in range(2)]
    ids = {header["x-request-id"] for header in made}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


async def test_a_defect_is_logged_once_with_the_id_and_goes_no_further(
    app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    async def boom() -> None:
        raise ZeroDivisionError("the test's own")

    app.add_api_route("/boom", boom)
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        response = await client.get("/boom", headers={"X-Request-ID": "the-one"})

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "the-one"
    said = capsys.readouterr().out
    assert said.count("unexpected_error") == 1
    assert said.count("ZeroDivisionError: the test's own") == 1
    [line] = [line for line in said.splitlines() if "unexpected_error" in line]
    assert "the-one" in line


async def test_the_feed_tells_how_many_clients_it_has(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        app.state.feed.clients += 1
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            found = await scrape(client)
    assert (found["feed_clients{}"], found["feed_queued_bytes{}"]) == (1, 0)

"""Secrets of webhooks leave no trace: everything that a whole run leaves behind is searched."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from redis import Redis
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from optimized_tsp.embedded.process import wait_until
from tests.conftest import StartStack
from tests.stack import WEBHOOK_KEY, RunningStack, Servers, TestDatabase
from tests.webhooks.receiver import answer, receiver

OTHER_KEY = "another key that only encrypts secrets of tests"
TRIANGLE = {"matrix": [[None, 1, 9], [9, None, 2], [3, 9, None]]}


def forms(secret: str) -> list[str]:
    """How a secret might show itself in a text."""
    raw = secret.encode()
    if secret.startswith("whsec_"):
        raw = base64.b64decode(secret.removeprefix("whsec_"))
    return [secret.removeprefix("whsec_"), raw.hex(), repr(raw)[2:-1]]


def dump(servers: Servers, database: TestDatabase) -> str:
    """Every row of every table, as text."""
    names = servers.run_sql(
        "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) "
        "FROM information_schema.tables WHERE table_schema IN ('public', 'reporting')",
        database=database.name,
    )
    tables = [name for line in names.splitlines() if "." in (name := line.strip())]
    assert "public.webhook_secrets" in tables
    return "\n".join(servers.run_sql(f"TABLE {table}", database=database.name) for table in tables)


def in_redis(url: str) -> str:
    with Redis.from_url(url) as redis:
        return repr([(key, redis.type(key), redis.dump(key)) for key in redis.scan_iter()])


def get(stack: RunningStack, path: str) -> Any:
    return httpx.get(stack.base_url + path, timeout=30).raise_for_status().json()


def post(stack: RunningStack, path: str, body: Any = None) -> Any:
    return httpx.post(stack.base_url + path, json=body, timeout=30).raise_for_status().json()


async def test_no_secret_is_found_anywhere_after_a_run(
    start_stack: StartStack, servers: Servers, database: TestDatabase, redis_url: str
) -> None:
    # Given a service whose webhooks succeed, fail, cannot be signed, and are rotated
    stack = start_stack(webhook_allow_http="true", webhook_allowed_networks="127.0.0.0/8")
    async with receiver(answer(204)) as good, receiver(answer(500, body=b"no")) as bad:
        secrets = [get(stack, "/webhooks/job-secret")["secret"]]
        endpoints = []
        for url in (good.url(), bad.url()):
            made = post(stack, "/webhooks", {"url": url, "event_types": ["job.completed"]})
            endpoints.append(f"/webhooks/{made['id']}")
            secrets += [made["secret"], post(stack, f"{endpoints[-1]}/rotate-secret")["secret"]]
        job = post(
            stack,
            "/tsp_solver/v1/jobs",
            {"tsp_instance": TRIANGLE, "webhook_url": good.url(path="/job")},
        )
        await good.until(lambda seen: len(seen.received) >= 2, within_s=60)
        await bad.until(lambda seen: seen.received, within_s=60)
        secrets.append(post(stack, "/webhooks/job-secret/rotate")["secret"])
        stack.workers[0].kill()
        stack.env["OPTIMIZED_TSP_WEBHOOK_KEY"] = OTHER_KEY
        stack.start_worker()
        post(stack, f"{endpoints[0]}/test")

        def seen() -> list[Any]:
            return [row for path in endpoints for row in get(stack, f"{path}/deliveries")]

        assert wait_until(lambda: "signed" in str(seen()), timeout_s=60)
        answers = [
            *(get(stack, path) for path in ("/webhooks", *endpoints)),
            get(stack, "/webhooks?kind=job_url"),
            get(stack, f"/tsp_solver/v1/jobs/{job['task_id']}"),
            get(stack, f"/tsp_solver/v1/jobs/{job['task_id']}/events"),
            seen(),
        ]

    # When everything is searched that the run left behind
    assert len(secrets) == len(set(secrets)) == 6
    traces = {
        "logs": stack.logs(),
        "the servers' logs": servers.logs(),
        "the database": dump(servers, database),
        "Redis": in_redis(redis_url),
        "answers": repr(answers),
    }

    # Then what is no secret is found, so the search works
    for where in ("logs", "the database", "answers"):
        assert job["task_id"] in traces[where], where
    # And none of the secrets is: not a secret, nor the key that encrypts them
    for where, trace in traces.items():
        assert trace, where
        found = [
            form
            for secret in (*secrets, WEBHOOK_KEY, OTHER_KEY)
            for form in forms(secret)
            if form in trace
        ]
        assert found == [], where
    await the_reporting_role_sees_nothing(database)


async def the_reporting_role_sees_nothing(database: TestDatabase) -> None:
    engine = create_async_engine(database.reporting_url)
    for table in ("webhook_secrets", "webhook_endpoints", "webhook_deliveries"):
        refused = None
        async with engine.connect() as connection:
            try:
                await connection.execute(text(f"TABLE public.{table}"))
            except ProgrammingError as error:
                refused = error
        assert "permission denied" in str(refused), table
    await engine.dispose()

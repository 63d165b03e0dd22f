"""The health check of a worker's container: Postgres hears from a worker that does its rounds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from optimized_tsp.worker.health import heard_within
from tests.stack import READY_TIMEOUT_S, RunningStack, TestDatabase

# Shorter than a container's half minute; the workers below go round every 0.6 s.
SILENCE_S = 3.0


async def until_heard(database: TestDatabase, *, heard: bool) -> None:
    async with asyncio.timeout(READY_TIMEOUT_S):
        while True:
            if await heard_within(database.url, SILENCE_S) is heard:
                return
            await asyncio.sleep(0.1)


def run_check(database_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "optimized_tsp.worker.health"],
        env=os.environ
        | {"OPTIMIZED_TSP_DATABASE_URL": database_url, "OPTIMIZED_TSP_REDIS_URL": "redis://x/0"},
        capture_output=True,
        text=True,
        timeout=READY_TIMEOUT_S,
        check=False,
    )


async def test_a_frozen_worker_is_not_healthy(database: TestDatabase, fleet: RunningStack) -> None:
    assert not await heard_within(database.url, SILENCE_S)
    worker = fleet.start_worker()
    await until_heard(database, heard=True)
    worker.send(signal.SIGSTOP)
    await until_heard(database, heard=False)
    worker.send(signal.SIGCONT)
    await until_heard(database, heard=True)
    assert run_check(database.url).returncode == 0


def test_without_a_worker_the_check_fails_and_says_so(database: TestDatabase) -> None:
    check = run_check(database.url)
    assert check.returncode == 1
    assert "no word of the worker" in check.stderr


def test_without_postgres_the_check_fails_and_says_so(database: TestDatabase) -> None:
    check = run_check(database.url.replace(str(database.identity.postgres_port), "1"))
    assert check.returncode == 1
    assert "Postgres does not answer" in check.stderr
    assert database.identity.app_password not in check.stderr


def test_a_postgres_that_is_not_the_one_asked_for_is_told_in_one_sentence(
    database: TestDatabase,
) -> None:
    check = run_check(f"{database.url}?target_session_attrs=standby")
    assert check.returncode == 1
    assert "Postgres does not answer" in check.stderr
    assert len(check.stderr.splitlines()) == 1

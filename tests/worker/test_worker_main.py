"""Starting a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimized_tsp.core.config import Settings
from optimized_tsp.embedded.process import Process
from optimized_tsp.jobs.states import JobStatus
from optimized_tsp.worker.main import run
from tests.stack import RunningStack
from tests.worker.conftest import Submit, Until, restart


def test_a_worker_without_addresses_says_what_to_set() -> None:
    with pytest.raises(SystemExit, match="needs OPTIMIZED_TSP_DATABASE_URL and OPTIMIZED_TSP_REDI"):
        run(Settings())


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    nothing = tmp_path / "ca.pem"
    nothing.write_text("no certificate")
    settings = Settings(
        database_url="postgresql://u:p@127.0.0.1/db",
        redis_url="redis://127.0.0.1/0",
        webhook_ca_file=nothing,
    )
    with pytest.raises(SystemExit, match="OPTIMIZED_TSP_WEBHOOK_CA_FILE cannot be used"):
        run(settings)


async def test_a_worker_started_without_redis_hears_rings_once_it_is_back(
    fleet: RunningStack, submit: Submit, until_ended: Until, valkey: Process
) -> None:
    valkey.kill()
    worker = fleet.start_worker()
    assert (await until_ended(await submit("prove"))).status is JobStatus.COMPLETED

    restart(valkey)

    assert (await until_ended(await submit("prove"), within_s=5)).status is JobStatus.COMPLETED
    assert worker.is_running()

"""A full disk under Postgres: refused politely, nothing half done, and fine again afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from optimized_tsp.core.database import Database
from optimized_tsp.jobs.states import JobStatus
from tests.faults.cluster import running_cluster
from tests.faults.stories import Stories
from tests.faults.traffic import ODD_PATH, client, odd
from tests.stack import public_folder

pytestmark = pytest.mark.privileged

_DISK_MIB = 600
_PATIENCE_S = 90.0


@contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of its own, of a few hundred megabytes."""
    assert os.geteuid() == 0, "these tests need root: sudo make test-privileged"
    with public_folder() as folder:
        options = f"size={_DISK_MIB}m,mode=0711"
        mount = ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        subprocess.run(mount, check=True)
        try:
            yield folder
        finally:
            subprocess.run(["/bin/umount", str(folder)], check=True)


@pytest.mark.timeout(300)
async def test_a_full_disk_is_answered_with_503_and_everything_recovers_when_there_is_room(
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    with small_disk() as folder:
        async with running_cluster(folder, apis=1, workers=1) as cluster, client() as http:
            database = Database(cluster.direct_url, application_name="tests")
            stories, url = Stories(database), cluster.urls[0] + ODD_PATH
            try:
                running = (await http.post(url, json=odd("prove", gate=gate))).json()["task_id"]
                await stories.until(running, lambda story: "incumbent" in story.types, _PATIENCE_S)
                _fill(folder)

                refused = await _first_refusal(http, url)
                gate.touch()  # the solve ends while there is no room for its answer
                (folder / "ballast").unlink()

                assert refused.headers["Retry-After"]
                assert refused.headers["Content-Type"] == "application/problem+json"
                accepted = await _accepted_again(http, url)
                for job in (running, accepted):
                    story = await stories.until_ended(job, within_s=_PATIENCE_S)
                    assert story.status is JobStatus.COMPLETED
                    assert story.types.count("completed") == 1
            finally:
                await database.close()


def _fill(folder: Path) -> None:
    """Leave not a byte."""
    block = bytes(2**20)
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(block)
        except OSError:
            assert os.statvfs(folder).f_bavail == 0


async def _first_refusal(http: httpx.AsyncClient, url: str) -> httpx.Response:
    """Submit large jobs until one is refused; what is in the log's last segment still fits."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            body = odd("prove")
            body["instance"]["padding"] = os.urandom(500_000).hex()
            answer = await http.post(url, json=body)
            if answer.status_code != httpx.codes.ACCEPTED:
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
                return answer


async def _accepted_again(http: httpx.AsyncClient, url: str) -> str:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            answer = await http.post(url, json=odd("prove"))
            if answer.status_code == httpx.codes.ACCEPTED:
                return str(answer.json()["task_id"])
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            await asyncio.sleep(0.2)

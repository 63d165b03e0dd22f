"""What it costs to wait: `.venv/bin/python -m benchmarks.waiting --streams 200 2000`.

Starts the whole service, stores a job that seems to run, and opens so many streams of its events
(server-sent events), to which nothing happens. Measured is the CPU time of the API process, as a
part of one core; the baseline is the same without streams.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from benchmarks.feed import api_process
from benchmarks.service import service
from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.jobs.storing import NewJob, store_job
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.solvers.tsp import TspSolver

_BODY = b'{"tsp_instance": {"matrix": [[null, 1, 9], [9, null, 2], [3, 9, null]]}}'
_RUNS = text(
    """
    UPDATE jobs SET status = 'Running', started_at = now(), run_started_at = now(), attempt = 1,
           fence = 1, leased_by = 'nobody', lease_until = now() + interval '1 hour'
    WHERE id = :job
    """
)
_AT_ONCE = 50


async def silent_job(database_url: str) -> UUID:
    """A job that no worker takes, and nothing happens to."""
    database = Database(database_url, application_name="tsp benchmark")
    async with database.write() as session:
        submission = parse_submission(TspSolver(), _BODY, Settings())
        stored = await store_job(session, NewJob(DEFAULT_TENANT_ID, submission))
        await session.execute(_RUNS, {"job": stored.job_id})
    await database.close()
    return stored.job_id


async def open_streams(base_url: str, job_id: UUID, count: int) -> list[asyncio.StreamWriter]:
    """Connections that each have read the first event of the job."""
    url = httpx.URL(base_url)
    request = (
        f"GET /tsp_solver/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: {url.host}\r\n"
        "Accept: text/event-stream\r\n\r\n"
    )

    async def stream() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(request.encode())
        await reader.readuntil(b"job.submitted")
        return writer

    opened: list[asyncio.StreamWriter] = []
    while len(opened) < count:
        some = min(_AT_ONCE, count - len(opened))
        opened += await asyncio.gather(*(stream() for _ in range(some)))
    return opened


async def measure(running: dict[str, Any], streams: int, seconds: float) -> float:
    """CPU time of the API while nothing happens, as a part of one core."""
    api = api_process(running["base_url"])
    job_id = await silent_job(running["database_url"])
    opened = await open_streams(running["base_url"], job_id, streams)
    before = api.cpu_times()
    await asyncio.sleep(seconds)
    after = api.cpu_times()
    used_s: float = after.user + after.system - before.user - before.system
    for writer in opened:
        writer.close()
    return used_s / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    print(f"{'streams':>10}{'of a core':>12}")
    for streams in (0, *arguments.streams):
        with service(workers=1) as running:
            part = asyncio.run(measure(running, streams, arguments.seconds))
        print(f"{streams:>10}{part:>12.1%}", flush=True)


if __name__ == "__main__":
    main()

"""`GET /jobs` with each filter over very many jobs: `python -m benchmarks.lists`.

Also the last part of `make bench-throughput`. Each list is asked for in turn, over one connection,
twice: right after all the jobs came at once, when Postgres knows nothing of them yet (its
statistics are of a nearly empty table), and after VACUUM, ANALYZE and CHECKPOINT, as in a service
that has grown. The floor is one job by its id. Then many more jobs come that wait, and lists of
those are asked for, in the same two states. The baseline is the page in SQL without an index, with
an index but by OFFSET, and with places in the queue by counting all that wait.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from benchmarks.load import send_all
from benchmarks.processes import our_up, sleeping, workers_of
from benchmarks.service import JOBS, TRIVIAL, service
from optimized_tsp.core.pagination import encode_cursor
from optimized_tsp.embedded.identity import Identity

__all__ = ["Listed", "measure_lists", "print_lists"]

_PATIENCE_S = 600.0
_PAGE = 50
_WARM_UP = 20
_DEEP = 1000 * _PAGE

# A job every 30 s for a year; one in 100,000 failed, one in 50,000 has a rare tag, one in three a
# name of its own; a batch of one in 50 was sent in one go, some time ago.
_MANY = """
INSERT INTO jobs (id, tenant_id, solver, version, status, tags, name, parameters, timeout_s,
                  instance_digest, submitted_at, completed_at, solution_status, stop_reason,
                  attempt, last_seq)
SELECT gen_random_uuid(), job.tenant_id, job.solver, job.version,
       CASE WHEN n % 100000 = 7 THEN 'Failed' ELSE 'Completed' END,
       CASE WHEN n % 50000 = 3 THEN '{"team": "rare"}'::jsonb
            WHEN n BETWEEN $1 / 5 AND $1 / 5 + $1 / 50 THEN '{"team": "common", "batch": "one"}'
            WHEN n % 2 = 0 THEN '{"team": "common"}' ELSE '{}' END,
       CASE WHEN n % 3 = 0 THEN 'name ' || n END,
       job.parameters, job.timeout_s, job.instance_digest,
       now() - ($1::int - n) * interval '30 s', now(), 'optimal', 'proven', 1, 4
FROM (SELECT * FROM jobs LIMIT 1) AS job, generate_series(1, $1::int) AS n
"""
_SOLUTIONS = """
INSERT INTO solutions (job_id, cost, lower_bound, gap, first_gap, node_order, final)
SELECT id, 7, 7, 0, 0, '{0, 1, 2}', true FROM jobs WHERE status = 'Completed'
ON CONFLICT DO NOTHING
"""
# As many within the last hour, by ids in the order of their coming (version 7, RFC 9562), of a
# hundred callers; one in a thousand has a tag.
_WAITING = """
INSERT INTO jobs (id, tenant_id, solver, version, status, tags, parameters, timeout_s,
                  instance_digest, submitted_at, last_seq)
SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0')
            || '7' || left(md5(CAST(n AS text)), 3) || '8' || right(md5(CAST(n AS text)), 15)
            AS uuid),
       CASE WHEN n % 100 = 1 THEN gen_random_uuid() ELSE job.tenant_id END,
       job.solver, job.version, 'Submitted',
       CASE WHEN n % 1000 = 7 THEN '{"team": "patient"}'::jsonb ELSE '{}' END,
       job.parameters, job.timeout_s, job.instance_digest, at, 1
FROM (SELECT * FROM jobs LIMIT 1) AS job, generate_series(1, $1::int) AS n,
     LATERAL (SELECT now() - ($1::int - n) * interval '1 hour' / $1::int) AS moment (at)
"""
_COUNTED = """
WITH page AS MATERIALIZED (
    SELECT * FROM jobs
    WHERE tenant_id = (SELECT tenant_id FROM jobs LIMIT 1) AND solver = 'tsp' AND version = 'v1'
    ORDER BY submitted_at DESC, id DESC LIMIT 51
), queue AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY id) AS place FROM jobs WHERE status = 'Submitted'
)
SELECT * FROM page LEFT JOIN queue USING (id)
"""
_BASELINE = """
SELECT * FROM jobs
WHERE tenant_id = (SELECT tenant_id FROM jobs LIMIT 1) AND solver = 'tsp' AND version = 'v1'
ORDER BY submitted_at DESC, id DESC LIMIT 51 OFFSET {offset}
"""
_NO_INDEX = (
    "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off"
)


@dataclass(frozen=True)
class Listed:
    """Milliseconds by name: of each list without statistics and with them, and of SQL."""

    jobs: int
    waiting: int
    fresh: dict[str, list[float]]
    settled: dict[str, list[float]]
    baseline: dict[str, list[float]]


async def measure_lists(running: dict[str, Any], many: int, waiting: int, repeats: int) -> Listed:
    """Add `many` jobs to a running service that has one at least, and list them.

    Then `waiting` more that wait, and list those. The workers have to sleep.
    """
    connection = await asyncpg.connect(running["database_url"])
    try:
        some_id = await connection.fetchval("SELECT id FROM jobs LIMIT 1")
        for statement, arguments in ((_MANY, (many,)), (_SOLUTIONS, ())):
            await connection.execute(statement, *arguments, timeout=_PATIENCE_S)
        order = "SELECT id FROM jobs ORDER BY submitted_at DESC, id DESC OFFSET $1 LIMIT 1"
        last_id = await connection.fetchval(order, min(_DEEP, many) - 1)
        deep = f"&cursor={encode_cursor(last_id)}"
        paths = {"one job by its id (floor)": f"{JOBS}/{some_id}"}
        paths |= {name: f"{JOBS}?limit={_PAGE}{query}" for name, query in _lists(deep).items()}
        fresh = await _ask(running["base_url"], paths, repeats)
        await _settle(running)
        settled = await _ask(running["base_url"], paths, repeats)
        baseline = await _baseline(connection)
        await connection.execute("RESET ALL")
        await connection.execute(_WAITING, waiting, timeout=_PATIENCE_S)
        last = "SELECT id FROM jobs WHERE status = 'Submitted' ORDER BY id DESC LIMIT 1"
        paths = _waiting_paths(await connection.fetchval(last))
        fresh |= await _ask(running["base_url"], paths, repeats)
        await _settle(running)
        settled |= await _ask(running["base_url"], paths, repeats)
        baseline["the newest, by counting what waits"] = await _time_sql(connection, _COUNTED)
        return Listed(many, waiting, fresh, settled, baseline)
    finally:
        await connection.close()


def _lists(deep: str) -> dict[str, str]:
    """Queries of `GET /jobs`, by what they show."""
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    long_ago, today = (f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (300, 1))
    return {
        "the newest": "",
        "page 1001 of the newest": deep,
        "status, many": "&status=Completed",
        "status, few": "&status=Failed",
        "tag, half of all": "&tag=team:common",
        "tag, half, page 1001 of all": f"&tag=team:common{deep}",
        "tag, one old batch": "&tag=batch:one",
        "tag, few": "&tag=team:rare",
        "tag, none": "&tag=team:nobody",
        "name": "&name=name%209",
        "the last day": f"&submitted_after={today}",
        "long ago": f"&submitted_before={long_ago}",
        "status and tag, many": "&status=Completed&tag=team:common",
        "status many, tag few": "&status=Completed&tag=team:rare",
        "status few, tag half": "&status=Failed&tag=team:common",
        "two tags": "&tag=team:common&tag=batch:one",
        "tag half, long ago": f"&tag=team:common&submitted_before={long_ago}",
        "status few, long ago": f"&status=Failed&submitted_before={long_ago}",
    }


def _waiting_paths(last_id: UUID) -> dict[str, str]:
    """What shows jobs that wait, by what it shows."""
    queries = {
        "the newest": "",
        "status": "&status=Submitted",
        "tag, all over the queue": "&tag=team:patient",
    }
    paths = {f"waiting: {name}": f"{JOBS}?limit={_PAGE}{query}" for name, query in queries.items()}
    return {"waiting: the last by its id": f"{JOBS}/{last_id}"} | paths


async def _ask(base_url: str, paths: dict[str, str], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each; in turn, so that what disturbs the machine disturbs all of them."""
    host = base_url.removeprefix("http://")
    requests = [f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for path in paths.values()]
    port = int(host.rsplit(":", 1)[1])
    rounds = repeats + _WARM_UP
    _, took_ms, statuses = await send_all(port, requests * rounds, connections=1)
    if set(statuses) != {200}:
        raise SystemExit(f"answers by status: {statuses}")
    counted = took_ms[_WARM_UP * len(paths) :]
    return {name: counted[number :: len(paths)] for number, name in enumerate(paths)}


async def _settle(running: dict[str, Any]) -> None:
    """What autovacuum and checkpoints do in time. The API's role may not: it is no owner."""
    kept = json.loads((Path(running["data_dir"]) / "embedded.json").read_text())
    url = Identity(**kept).postgres_url("postgres", kept["superuser_password"])
    connection = await asyncpg.connect(url, timeout=_PATIENCE_S)
    try:
        await connection.execute("VACUUM (ANALYZE) jobs, job_tags, solutions", timeout=_PATIENCE_S)
        await connection.execute("CHECKPOINT", timeout=_PATIENCE_S)
    finally:
        await connection.close()


async def _baseline(connection: asyncpg.Connection) -> dict[str, list[float]]:
    by_offset = await _time_sql(connection, _BASELINE.format(offset=_DEEP))
    await connection.execute(_NO_INDEX)
    without = await _time_sql(connection, _BASELINE.format(offset=0))
    return {"page 1001 by OFFSET": by_offset, "the newest without an index": without}


async def _time_sql(connection: asyncpg.Connection, query: str, repeats: int = 20) -> list[float]:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        await connection.fetch(query, timeout=_PATIENCE_S)
        times.append((time.perf_counter() - began) * 1000)
    return times


def print_lists(listed: Listed) -> None:
    """A table for people."""
    print(f"GET /jobs, {_PAGE} of {listed.jobs} jobs{'':9}{'no statistics':>20}{'settled':>20}")
    print(f'("waiting": when {listed.waiting} more wait)')
    print(f"{'milliseconds':36}{'p50':>10}{'p95':>10}{'p50':>10}{'p95':>10}")
    for name, settled in listed.settled.items():
        cells = (*_quantiles(listed.fresh[name]), *_quantiles(settled))
        print(f"{name:36}", *(f"{cell:9.1f}" for cell in cells))
    for name, times in listed.baseline.items():
        p50, p95 = _quantiles(times)
        print(f"{f'SQL: {name} (baseline)':56}{p50:10.1f}{p95:10.1f}")


def _quantiles(times: list[float]) -> tuple[float, float]:
    return statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[18]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=200)
    arguments = parser.parse_args()
    with service(workers=1) as running:
        headers = {"Prefer": "wait=30"}  # its worker is to be done with it
        answer = httpx.post(
            f"{running['base_url']}{JOBS}", json=TRIVIAL, headers=headers, timeout=60
        )
        if answer.status_code != httpx.codes.OK:
            raise SystemExit(f"the first job did not end: {answer.text}")
        with sleeping(workers_of(our_up())):
            measured = measure_lists(running, arguments.many, arguments.waiting, arguments.repeats)
            print_lists(asyncio.run(measured))


if __name__ == "__main__":
    main()

"""Redis and then Postgres away for a minute, in the middle of a solve; then the verdict.

`python -m tests.faults.outages` is one part of `make soak`: longer than any test may take.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import Progress

from optimized_tsp.core.database import Database
from optimized_tsp.embedded.process import Process
from optimized_tsp.jobs.states import JobStatus
from tests.faults.cluster import READY_S, Cluster, running_cluster
from tests.faults.faults import Injection
from tests.faults.mix import HOOKS, calm, position_of
from tests.faults.oracle import Witnesses, judge, read_evidence
from tests.faults.stories import Stories, newest_position
from tests.faults.traffic import ODD_PATH, Traffic, Watcher, client, odd, register
from tests.stack import public_folder
from tests.webhooks.receiver import answer, receiver

_BETWEEN_S = 0.5
_SLOWEST_SUBMISSION_S = 5.0

Meanwhile = Callable[[httpx.Response], str | None]
"""What is wrong with the answer to a submission while a server is away; None when nothing."""


async def away(
    cluster: Cluster, server: Process, seconds: float, meanwhile: Meanwhile
) -> list[str]:
    """Kill a server, submit jobs for so long without it, start it again; returns what was wrong."""
    wrong = []
    server.kill()
    deadline = time.monotonic() + seconds
    async with client() as http:
        while time.monotonic() < deadline:
            url = random.choice(cluster.urls)
            asked = time.monotonic()
            said = await http.post(url + ODD_PATH, json=odd("prove"))
            if complaint := meanwhile(said):
                wrong.append(complaint)
            if time.monotonic() - asked > _SLOWEST_SUBMISSION_S:
                wrong.append(f"a submission took {time.monotonic() - asked:.1f} s")
            await asyncio.sleep(_BETWEEN_S)
    await cluster.restart(server)
    return wrong


def accepted_in(traffic: Traffic) -> Meanwhile:
    """Without Redis submissions are accepted as ever."""

    def look(said: httpx.Response) -> str | None:
        if said.status_code != httpx.codes.ACCEPTED:
            return f"without Redis: {said.status_code} {said.text}"
        traffic.accepted.append(said.json()["task_id"])
        return None

    return look


def refused_politely(said: httpx.Response) -> str | None:
    """Without Postgres nothing is accepted, and callers are told when to come again."""
    polite = said.status_code == httpx.codes.SERVICE_UNAVAILABLE and "Retry-After" in said.headers
    return None if polite else f"without Postgres: {said.status_code} {said.text}"


async def outages(cluster: Cluster, seconds: float, progress: Progress) -> list[str]:
    """A job runs through both outages and ends in its first attempt; nothing is lost or doubled."""
    traffic, watcher = Traffic(cluster, random.Random(1)), Watcher(cluster, 0)
    database = Database(cluster.direct_url, application_name="oracle")
    stories, gate = Stories(database), cluster.folder / "gate"
    last: list[int] = []
    try:
        async with receiver(answer(200)) as hooks, client() as http, asyncio.TaskGroup() as group:
            await register(cluster, hooks)
            group.create_task(watcher.watch(lambda w: bool(last) and position_of(w) >= last[0]))
            job = await traffic.submit(http, odd("prove", gate=gate, timeout_s=600), ODD_PATH)
            await stories.until(job, lambda story: "incumbent" in story.types, READY_S)
            wrong, injections = [], []
            for name, fault, server, meanwhile in (
                ("Redis", "restart_redis", cluster.valkey, accepted_in(traffic)),
                ("Postgres", "stop_postgres", cluster.postgres, refused_politely),
            ):
                task = progress.add_task(f"{name} is away", total=None)
                begin = datetime.now(UTC)
                wrong += await away(cluster, server, seconds, meanwhile)
                injections.append(Injection(fault, begin, datetime.now(UTC)))
                progress.update(task, total=1, completed=1)
            gate.touch()
            await calm(cluster, database)
            last.append(await newest_position(database))
        story = await stories.tell(job)
        if (story.status, story.job.attempt) != (JobStatus.COMPLETED, 1):
            wrong.append(f"the job that ran: {story.status}, {story.job.attempt} attempts")
        evidence = await read_evidence(database)
        witnesses = Witnesses(traffic, [watcher], hooks)
        return wrong + judge(evidence, witnesses, injections, cluster.logs()).wrong
    finally:
        await database.close()


async def _main(seconds: float) -> int:
    with Progress(console=Console(stderr=True)) as progress, public_folder() as folder:
        async with running_cluster(Path(folder), settings=HOOKS) as cluster:
            wrong = await outages(cluster, seconds, progress)
    sys.stdout.write(f"Redis and Postgres away for {seconds:g} s each: {len(wrong)} wrong\n")
    sys.stdout.writelines(f"    WRONG: {what}\n" for what in wrong[:20])
    return int(bool(wrong))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.faults.outages", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    sys.exit(asyncio.run(_main(parser.parse_args().seconds)))

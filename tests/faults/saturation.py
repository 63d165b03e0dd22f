"""No false rescue on a machine without a moment of idle CPU.

`python -m tests.faults.saturation --minutes 30` is one part of `make soak`: real solves, several at
once with several threads each, and beside them programs that do nothing but burn CPU. Nothing is
injected. So the oracle of the faults may find no crash, no second attempt, no lease lost; every job
ends as it should and in about its time; and it is measured how long leases went without renewal.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import text

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.totals import SUM, read_totals
from optimized_tsp.embedded.process import Order, Process, stop_all
from optimized_tsp.jobs.states import JobStatus
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.full_machine import Full, Measured, judge_calm, report, troubles
from tests.faults.heartbeats import Heartbeats
from tests.faults.mix import calm, position_of
from tests.faults.oracle import Witnesses, judge, read_evidence
from tests.faults.stories import newest_position
from tests.faults.traffic import Traffic, Watcher, client, register
from tests.stack import public_folder
from tests.webhooks.receiver import answer, receiver

PATH = "/tsp_solver/v1/jobs"
_CANCELLED_SHARE = 0.2
_NODES = {7: 3, 200: 2, 1_000: 3, 2_000: 1, 5_000: 1}
"""Sizes of the problems, and how often each comes."""
_BURN = "while True: pass"

_ENDS = text(
    """
    SELECT CAST(extract(epoch FROM completed_at - started_at) AS double precision) AS ran_s,
        timeout_s, stop_reason,
        CAST(extract(epoch FROM completed_at - cancel_requested_at) AS double precision)
            AS cancel_took_s
    FROM jobs
    """
)


class Saturation:
    """Keeps a cluster's machine full, and watches."""

    def __init__(self, cluster: Cluster, full: Full) -> None:
        self._cluster = cluster
        self._full = full
        self._random = random.Random(full.seed)
        self._deadline = time.monotonic() + full.seconds
        self._measured = Measured()

    async def run(self, on_progress: Callable[[float], None] = lambda _: None) -> Measured:
        """Fill the machine until the time is over and all jobs have ended; then judge."""
        database = Database(self._cluster.direct_url, application_name="oracle")
        traffic = Traffic(self._cluster, random.Random(self._full.seed + 1))
        try:
            async with receiver(answer(200)) as hooks:
                await register(self._cluster, hooks)
                witnesses = Witnesses(traffic, [Watcher(self._cluster, 0)], hooks)
                with burning(self._full.burners, self._cluster.folder):
                    beats = await self._fill(witnesses, database, on_progress)
                await self._measure(witnesses, database, beats)
        finally:
            await database.close()
        return self._measured

    async def _fill(
        self, witnesses: Witnesses, database: Database, on_progress: Callable[[float], None]
    ) -> Heartbeats:
        beats = Heartbeats(database, lease_s=self._full.lease_s)
        last: list[int] = []
        async with asyncio.TaskGroup() as group:
            for watcher in witnesses.watchers:
                group.create_task(watcher.watch(lambda w: bool(last) and position_of(w) >= last[0]))
            beside = [group.create_task(beats.watch()), group.create_task(self._look(on_progress))]
            async with client() as http, asyncio.TaskGroup() as users:
                for _ in range(self._full.workers + 2):  # so that some always wait
                    users.create_task(self._submit(witnesses.traffic, http))
            await calm(self._cluster, database)
            last.append(await newest_position(database))
            for task in beside:
                task.cancel()
        return beats

    async def _submit(self, traffic: Traffic, http: httpx.AsyncClient) -> None:
        """A user who submits a job when the one before has ended."""
        while time.monotonic() < self._deadline:
            body = self._body()
            job = await traffic.submit(http, body, PATH)
            if self._random.random() < _CANCELLED_SHARE:
                await self._cancel_while_it_runs(traffic, http, job)
            await traffic.until_ended(http, PATH, job)

    async def _cancel_while_it_runs(
        self, traffic: Traffic, http: httpx.AsyncClient, job: str
    ) -> None:
        url = f"{self._cluster.urls[0]}{PATH}/{job}"
        while (await http.get(url)).json()["status"] == JobStatus.SUBMITTED:  # noqa: ASYNC110 - far away
            await asyncio.sleep(0.1)
        await asyncio.sleep(self._random.uniform(0, self._full.limits_s[0] / 2))
        begun = time.monotonic()
        await traffic.cancel(http, PATH, job)
        self._measured.acknowledged.append(time.monotonic() - begun)

    def _body(self) -> dict[str, Any]:
        nodes = self._random.choices(list(_NODES), list(_NODES.values()))[0]
        points = [
            [self._random.randrange(10**6), self._random.randrange(10**6)] for _ in range(nodes)
        ]
        limit_s = round(self._random.uniform(*self._full.limits_s), 1)
        return {
            "name": f"{nodes} nodes",
            "tsp_instance": {"coordinates": points, "metric": "EUC_2D"},
            "optimization_parameters": {"timeout": limit_s, "threads": self._full.threads},
        }

    async def _look(self, on_progress: Callable[[float], None]) -> None:
        """How busy the machine is, every second until the time is over."""
        begun = time.monotonic()
        psutil.cpu_percent()  # the first is of the time since the import
        while time.monotonic() < self._deadline:
            await asyncio.sleep(1.0)
            self._measured.cpu_percents.append(psutil.cpu_percent())
            self._measured.loads.append(os.getloadavg()[0])
            on_progress(time.monotonic() - begun)

    async def _measure(self, witnesses: Witnesses, database: Database, beats: Heartbeats) -> None:
        measured = self._measured
        verdict = judge(await read_evidence(database), witnesses, [], self._cluster.logs())
        measured.jobs, measured.statuses = verdict.jobs, verdict.statuses
        measured.renewals, measured.silences = beats.renewals, await beats.silences()
        async with database.read() as session:
            ends = (await session.execute(_ENDS)).all()
            totals = await read_totals(session)
        for end in ends:
            measured.stop_reasons[end.stop_reason] += 1
            if end.ran_s is not None and end.cancel_took_s is None:
                measured.overruns.append(end.ran_s - end.timeout_s)
            if end.ran_s is not None and end.cancel_took_s is not None:
                measured.cancels.append(end.cancel_took_s)
        for total in totals:
            if total.metric == "worker_event_loop_lag_seconds" and total.labels["le"] != SUM:
                measured.lags[total.labels["le"]] += int(total.value)
            if total.metric == "job_rescues":
                measured.rescues += int(total.value)
        measured.said = troubles(self._cluster.logs())
        measured.wrong = [*verdict.wrong, *judge_calm(self._full, measured)]


@contextmanager
def burning(number: int, folder: Path) -> Iterator[None]:
    """Programs that do nothing but use CPU; they end with this process, whatever becomes of it."""
    order = Order([sys.executable, "-c", _BURN])
    burners = [Process(f"burner {i}", order, folder / f"burner-{i}.log") for i in range(number)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        stop_all(burners, grace_s=5)


async def _main(full: Full) -> int:
    with Progress(console=Console(stderr=True)) as progress, public_folder() as folder:
        task = progress.add_task("no false rescue at 100 % CPU", total=full.seconds)
        settings = full.settings()
        async with running_cluster(folder, workers=full.workers, settings=settings) as cluster:
            measured = await Saturation(cluster, full).run(
                lambda done_s: progress.update(task, completed=done_s)
            )
            if measured.wrong:
                _keep(Path("soak-saturation.log"), cluster)
    sys.stdout.write(report(full, measured))
    return int(bool(measured.wrong))


def _keep(path: Path, cluster: Cluster) -> None:
    path.write_text(cluster.logs(), "utf-8")
    sys.stdout.write(f"All logs are kept in {path}.\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.faults.saturation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=Full.workers)
    parser.add_argument("--lease", type=float, default=Settings().lease_s, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    full = Full(
        seconds=60 * chosen.minutes,
        workers=chosen.workers,
        lease_s=chosen.lease,
        seed=chosen.seed,
    )
    sys.exit(asyncio.run(_main(full)))


if __name__ == "__main__":
    main()

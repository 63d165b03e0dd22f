"""Many faults of all kinds while jobs are submitted, cancelled and followed; then the verdict.

`python -m tests.faults.mix --seed 1 --jobs 2000 --faults 300` is one part of `make soak`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from optimized_tsp.core.database import Database
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.faults import CAN_CRASH_JOBS, FAULTS, KINDS
from tests.faults.oracle import Verdict, Witnesses, all_delivered, all_ended, judge, newest_position
from tests.faults.traffic import Traffic, Watcher, client, register
from tests.stack import public_folder
from tests.webhooks.receiver import answer, receiver

HOOKS = {
    "webhook_key": "a key that only these tests know",
    "webhook_allow_http": "true",
    "webhook_allowed_networks": "127.0.0.0/8",
    "webhook_retry_delays_s": ",".join(["0.5"] * 20),
}
"""Settings under which webhooks may come to this machine, and soon."""

_CALM_S = 300.0
_SUBMITTERS = 8
_WATCHERS = 4
_PAUSE_BETWEEN_FAULTS_S = (0.1, 1.5)
_CANCELLED_SHARE = 0.05
_RUNNING_AT_ONCE = 2
_SHOWN = 20


@dataclass
class Mix:
    """What one run does: so many jobs, at least so many faults, from one seed."""

    seed: int
    jobs: int
    faults: int
    injected: Counter[str] = field(default_factory=Counter)
    on_progress: Callable[[int, int], None] = lambda *_: None

    async def run(self, cluster: Cluster) -> Verdict:
        """Traffic and faults side by side, then calm, then the judgement."""
        source = random.Random(self.seed)
        traffic = Traffic(cluster, random.Random(self.seed + 1))
        database = Database(cluster.direct_url, application_name="oracle")
        watchers = [Watcher(cluster, number) for number in range(_WATCHERS)]
        async with receiver(answer(200)) as hooks:
            await register(cluster, hooks)
            return await self._run(cluster, database, Witnesses(traffic, watchers, hooks), source)

    async def _run(
        self, cluster: Cluster, database: Database, witnesses: Witnesses, source: random.Random
    ) -> Verdict:
        traffic = witnesses.traffic
        last: list[int] = []
        try:
            async with asyncio.TaskGroup() as group:
                for watcher in witnesses.watchers:
                    group.create_task(
                        watcher.watch(lambda w: bool(last) and _position(w) >= last[0])
                    )
                injecting = group.create_task(self._inject(cluster, source, traffic))
                await self._submit_all(traffic, injecting)
                await injecting
                await _calm(cluster, database)
                last.append(await newest_position(database))
            return await judge(database, witnesses, crash_faults=self._crash_faults())
        finally:
            await database.close()

    def _crash_faults(self) -> int:
        """How many crashes the faults can explain: each may hit every running job."""
        return _RUNNING_AT_ONCE * sum(self.injected[name] for name in CAN_CRASH_JOBS)

    async def _inject(self, cluster: Cluster, source: random.Random, traffic: Traffic) -> None:
        """Faults, kind after kind, until there were enough of them and enough jobs."""
        kinds = itertools.cycle(KINDS.values())
        while self.injected.total() < self.faults or len(traffic.accepted) < self.jobs:
            name = source.choice(next(kinds))
            await FAULTS[name](cluster, source)
            self.injected[name] += 1
            self.on_progress(len(traffic.accepted), self.injected.total())
            await asyncio.sleep(source.uniform(*_PAUSE_BETWEEN_FAULTS_S))
        for proxy in (cluster.postgres_proxy, cluster.redis_proxy):
            proxy.calm()

    async def _submit_all(self, traffic: Traffic, injecting: asyncio.Task[None]) -> None:
        """Users who submit a job after the other for as long as there are faults."""
        bodies = map(self._body, itertools.repeat(random.Random(self.seed + 2)), itertools.count())
        async with client() as http, asyncio.TaskGroup() as group:
            for _ in range(_SUBMITTERS):
                group.create_task(self._submitter(traffic, http, bodies, injecting))

    async def _submitter(
        self,
        traffic: Traffic,
        http: httpx.AsyncClient,
        bodies: Iterator[tuple[str, dict[str, Any]]],
        injecting: asyncio.Task[None],
    ) -> None:
        while not injecting.done():
            path, body = next(bodies)
            job = await traffic.submit(http, body, path)
            if traffic.random.random() < _CANCELLED_SHARE:
                await traffic.cancel(http, path, job)
            await traffic.until_ended(http, path, job)

    def _body(self, source: random.Random, number: int) -> tuple[str, dict[str, Any]]:
        """Mostly small tours, some that take a second, some knapsacks, a few that take longer."""
        kind = source.choices(("small", "knapsack", "second", "long"), (70, 15, 12, 3))[0]
        if kind == "knapsack":
            items = [
                {"value": source.randint(1, 99), "weight": source.randint(1, 99)} for _ in range(20)
            ]
            instance = {"items": items, "capacity": 300}
            body = {"instance": instance, "tags": {"kind": kind}}
            return "/knapsack_solver/v1/jobs", body
        nodes = {"small": 7, "second": 80, "long": 250}[kind]
        points = [[source.randint(0, 9_999), source.randint(0, 9_999)] for _ in range(nodes)]
        return "/tsp_solver/v1/jobs", {
            "tsp_instance": {"coordinates": points, "metric": "EUC_2D"},
            "optimization_parameters": {"timeout": 4 if kind == "long" else 20},
            "name": f"{kind} {number}",
            "tags": {"kind": kind},
        }


def _position(watcher: Watcher) -> int:
    return int(watcher.cursor, 16)


async def _calm(cluster: Cluster, database: Database) -> None:
    """Wait until every job has ended and every webhook is delivered."""
    async with asyncio.timeout(_CALM_S):
        await cluster.until_ready(_CALM_S)
        while not (  # noqa: ASYNC110 - no event of ours
            await all_ended(database) and await all_delivered(database)
        ):
            await asyncio.sleep(0.2)


async def _soak(arguments: argparse.Namespace) -> int:
    progress = Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    wrong = 0
    with progress:
        for seed in arguments.seeds:
            jobs = progress.add_task(f"seed {seed}: jobs", total=arguments.jobs)
            faults = progress.add_task(f"seed {seed}: faults", total=arguments.faults)

            def show(
                done_jobs: int, done_faults: int, jobs: Any = jobs, faults: Any = faults
            ) -> None:
                progress.update(jobs, completed=max(done_jobs, progress.tasks[jobs].completed))
                progress.update(
                    faults, completed=max(done_faults, progress.tasks[faults].completed)
                )

            mix = Mix(seed, arguments.jobs, arguments.faults, on_progress=show)
            with public_folder() as folder:
                async with running_cluster(folder, settings=HOOKS) as cluster:
                    verdict = await mix.run(cluster)
            wrong += len(verdict.wrong)
            _say(seed, mix, verdict)
    return wrong


def _say(seed: int, mix: Mix, verdict: Verdict) -> None:
    out = sys.stdout
    out.write(
        f"seed {seed}: {verdict.jobs} jobs {verdict.statuses}, {verdict.events} events,"
        f" {verdict.crashes} crashes rescued, {mix.injected.total()} faults\n"
    )
    for kind, names in KINDS.items():
        counts = {name: mix.injected[name] for name in names}
        out.write(f"    {kind}: {sum(counts.values())} {counts}\n")
    out.writelines(f"    WRONG: {what}\n" for what in verdict.wrong[:_SHOWN])
    if len(verdict.wrong) > _SHOWN:
        out.write(f"    ... and {len(verdict.wrong) - _SHOWN} more\n")
    out.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.faults.mix", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--faults", type=int, default=300)
    wrong = asyncio.run(_soak(parser.parse_args()))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

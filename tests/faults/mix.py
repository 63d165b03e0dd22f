"""Many faults of all kinds while jobs are submitted, cancelled and followed; then the verdict.

`python -m tests.faults.mix --seeds 1 2 3 --jobs 2000 --faults 300` is one part of `make soak`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from optimized_tsp.core.database import Database
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.faults import FAULTS, KINDS, Injection, inject
from tests.faults.memory import MemoryGuard
from tests.faults.oracle import Verdict, Witnesses, judge, read_evidence
from tests.faults.stories import newest_position, unfinished
from tests.faults.traffic import DOOMED, ODD_PATH, Traffic, Watcher, client, odd, register
from tests.stack import public_folder
from tests.webhooks.receiver import answer, receiver

HOOKS = {
    "webhook_key": "a key that only these tests know",
    "webhook_allow_http": "true",
    "webhook_allowed_networks": "127.0.0.0/8",
    "webhook_retry_delays_s": ",".join(["0.5"] * 20),
}
"""Settings under which webhooks may come to this machine, and soon."""

_CALM_S = 120.0
_SUBMITTERS = 8
_WATCHERS = 4
_PAUSE_BETWEEN_FAULTS_S = (0.1, 1.5)
_CANCELLED_SHARE = 0.05
_MIX = {
    "small": 65,
    "knapsack": 15,
    "second": 11,
    "long": 3,
    "other_version": 3,
    "abort": 1,
    "segfault": 1,
    "eat_memory": 1,
}
"""Of a hundred jobs so many are of these kinds; the first ones are one of each."""
_SHOWN = 20


@dataclass
class Mix:
    """What one run does: so many jobs, at least so many faults, from one seed.

    Every main kind of faults gets its share, and each of `without_fail` happens; those that hit
    nothing do not count.
    """

    seed: int
    jobs: int
    faults: int
    without_fail: Collection[str] = ()
    injections: list[Injection] = field(default_factory=list)
    submitted: Counter[str] = field(default_factory=Counter)
    """Jobs by their kind."""
    killed_for_memory: int = 0
    on_progress: Callable[[int, int], None] = lambda *_: None

    @property
    def injected(self) -> Counter[str]:
        """How often each fault hit something."""
        return Counter(injection.name for injection in self.injections)

    def of_kind(self, kind: str) -> int:
        """Faults of a main kind that hit something."""
        return sum(self.injected[name] for name in KINDS[kind])

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
                        watcher.watch(lambda w: bool(last) and position_of(w) >= last[0])
                    )
                guard = MemoryGuard(cluster)
                guarding = group.create_task(guard.watch())
                injecting = group.create_task(self.inject(cluster, source, traffic))
                await self._submit_all(traffic, injecting)
                await injecting
                await calm(cluster, database)
                guarding.cancel()
                self.killed_for_memory = len(guard.killed)
                last.append(await newest_position(database))
            evidence = await read_evidence(database)
            return judge(evidence, witnesses, self.injections, cluster.logs())
        finally:
            await database.close()

    async def inject(self, cluster: Cluster, source: random.Random, traffic: Traffic) -> None:
        """Faults, kind after kind, until there were enough of them and enough jobs."""
        turns = {kind: _turns(names, f"{self.seed} {kind}") for kind, names in KINDS.items()}
        for kind in itertools.cycle(KINDS):
            behind = [kind for kind in KINDS if self._is_behind(kind)]
            if len(traffic.accepted) >= self.jobs and not behind:
                break
            if behind and kind not in behind:
                continue
            injection = await inject(next(turns[kind]), cluster, source)
            if injection is not None:
                self.injections.append(injection)
            self.on_progress(len(traffic.accepted), len(self.injections))
            await asyncio.sleep(source.uniform(*_PAUSE_BETWEEN_FAULTS_S))
        for proxy in (cluster.postgres_proxy, cluster.redis_proxy):
            proxy.calm()

    def _is_behind(self, kind: str) -> bool:
        """Whether there were too few faults of a kind."""
        missing = any(not self.injected[n] for n in KINDS[kind] if n in self.without_fail)
        return missing or self.of_kind(kind) * len(KINDS) < self.faults

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
        """Mostly small tours, some that take a second, some knapsacks, a few that take longer or
        crash whatever happens."""
        kinds = list(_MIX)
        kind = (kinds[number:] or source.choices(kinds, list(_MIX.values())))[0]
        self.submitted[kind] += 1
        names = {"name": f"{kind} {number}", "tags": {"kind": kind}}
        if kind in {"abort", "segfault", "eat_memory"}:
            return ODD_PATH, odd(kind) | names | {"tags": DOOMED}
        if kind == "knapsack":
            items = [
                {"value": source.randint(1, 99), "weight": source.randint(1, 99)} for _ in range(20)
            ]
            instance = {"items": items, "capacity": 300}
            return "/knapsack_solver/v1/jobs", {"instance": instance, **names}
        nodes = {"small": 7, "other_version": 7, "second": 80, "long": 250}[kind]
        points = [[source.randint(0, 9_999), source.randint(0, 9_999)] for _ in range(nodes)]
        version = "v2_experimental" if kind == "other_version" else "v1"
        return f"/tsp_solver/{version}/jobs", {
            "tsp_instance": {"coordinates": points, "metric": "EUC_2D"},
            "optimization_parameters": {"timeout": 4 if kind == "long" else 20},
            **names,
        }


def _turns(names: Sequence[str], seed: str) -> Iterator[str]:
    """Each of them in some order, and again in another one, without end."""
    source = random.Random(seed)
    while True:
        yield from source.sample(names, len(names))


def position_of(watcher: Watcher) -> int:
    """How far it has followed the feed."""
    return int(watcher.cursor, 16)


async def calm(cluster: Cluster, database: Database) -> None:
    """Wait until every job has ended and every event is in the feed and at the receiver.

    It may take as long as it likes, for as long as something moves.
    """
    clock = asyncio.get_running_loop().time
    await cluster.until_ready(_CALM_S)
    before, moved = None, clock()
    while any(left := await unfinished(database)):
        if left != before:
            before, moved = left, clock()
        assert clock() - moved < _CALM_S, f"nothing moves any more: {left}"
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

            mix = Mix(seed, arguments.jobs, arguments.faults, FAULTS, on_progress=show)
            with public_folder() as folder:
                async with running_cluster(folder, settings=HOOKS) as cluster:
                    verdict = Verdict(["it broke off"])
                    try:
                        verdict = await mix.run(cluster)
                    finally:
                        if verdict.wrong:
                            _keep(Path(f"soak-seed-{seed}.log"), mix, cluster)
            wrong += len(verdict.wrong)
            _say(seed, mix, verdict)
    return wrong


def _keep(path: Path, mix: Mix, cluster: Cluster) -> None:
    """What is needed to find out why: the faults with their times, and all that was logged."""
    faults = (f"{fault.begin} to {fault.end}: {fault.name}\n" for fault in mix.injections)
    path.write_text("".join(faults) + cluster.logs(), "utf-8")
    sys.stdout.write(f"The faults and all logs are kept in {path}.\n")


def _say(seed: int, mix: Mix, verdict: Verdict) -> None:
    out = sys.stdout
    out.write(
        f"seed {seed}: {verdict.jobs} jobs {verdict.statuses}, {verdict.events} events,"
        f" {verdict.crashes} crashes, {len(mix.injections)} faults\n"
        f"    submitted: {dict(mix.submitted)}, {mix.killed_for_memory} killed for their memory\n"
    )
    for kind, names in KINDS.items():
        counts = {name: mix.injected[name] for name in names}
        out.write(f"    {kind}: {mix.of_kind(kind)} {counts}\n")
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

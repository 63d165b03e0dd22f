"""A rolling deploy with real processes of an earlier version beside those of this one.

`python -m tests.faults.versions [--before REV]` is one part of `make soak`. It takes the earlier
version from the history of the checkout, by default the last one that had other tables, and starts
it in the environment of this one, on this one's tables. Workers and APIs are replaced by the other
version in both directions under load, which fails no request and costs no attempt; then both
versions serve side by side while processes of either are killed.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from optimized_tsp.embedded.process import Process
from tests.faults.cluster import PLUGINS, Cluster, running_cluster
from tests.faults.faults import inject
from tests.faults.mix import HOOKS, Mix
from tests.faults.traffic import Traffic
from tests.stack import public_folder

ROOT = Path(__file__).parents[2]
MIGRATIONS = "migrations/versions"
BEFORE, NOW = "before", "now"
LOGS = Path("soak-versions.log")
_KILLS = ("kill_worker", "kill_solver_child", "kill_api", "kill_worker_group")
_KERNELS = "optimized_tsp/solvers/tsp"


class NoHistory(Exception):
    """There is no earlier version to be had: {}"""

    def __str__(self) -> str:
        return str(self.__doc__).format(*self.args)


def git(*arguments: str) -> bytes:
    """What git says about this checkout."""
    program = shutil.which("git")
    if program is None:
        raise NoHistory("git is not installed")
    done = subprocess.run([program, "-C", str(ROOT), *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise NoHistory(f"git {' '.join(arguments)} said: {said}")
    return done.stdout


def migrations_of(revision: str) -> set[str]:
    """Names of the migrations that a version has."""
    listed = git("ls-tree", "--name-only", revision, f"{MIGRATIONS}/").decode().split()
    return {Path(name).name for name in listed if name.endswith(".py")}


def version_with_other_tables() -> str:
    """The last commit whose migrations are not those of the files here."""
    present = {path.name for path in (ROOT / MIGRATIONS).glob("*.py")}
    changes = git("log", "--format=%H", "--", MIGRATIONS).decode().split()
    for revision in ("HEAD", *(f"{change}^" for change in changes)):
        if migrations_of(revision) != present:
            return revision
    raise NoHistory("all commits here have the same migrations")


@dataclass(frozen=True)
class EarlierVersion:
    """A version that was unpacked into `folder`, and is run from there."""

    name: str
    folder: Path

    @classmethod
    def unpacked(cls, revision: str, folder: Path) -> EarlierVersion:
        """Take a version out of the history; compile what it has compiled."""
        name = git("log", "-1", "--format=%h of %cs, %s", revision).decode().strip()
        with tarfile.open(fileobj=io.BytesIO(git("archive", "--format=tar", revision))) as files:
            files.extractall(folder, filter="data")
        for cache in (ROOT / _KERNELS).rglob("__pycache__"):  # what is the same needs no compiling
            shutil.copytree(cache, folder / cache.relative_to(ROOT))
        version = cls(name, folder)
        version.run("-m", "optimized_tsp.solvers.tsp.compile_kernels")
        return version

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program of this version out of the same command."""
        plugins = self.folder / PLUGINS.relative_to(ROOT)
        return {"PYTHONPATH": f"{self.folder}:{plugins}"}

    def run(self, *arguments: str) -> str:
        """Run Python as its programs are run; returns what was printed."""
        command = [sys.executable, "-P", *arguments]
        environment = os.environ | self.environment
        return subprocess.run(
            command, env=environment, cwd="/", check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def imported_from(self) -> Path:
        """Where its programs find our package."""
        return Path(self.run("-c", "import optimized_tsp as o; print(o.__file__)").strip())


@dataclass
class RollingDeploys(Mix):
    """Traffic as in the mix; replacements by the other version, then kills on both sides."""

    earlier: Mapping[str, str] = field(default_factory=dict)
    """The environment of the earlier version."""
    replaced: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    """Connections that a replacement had cost when nothing was killed yet."""
    wrong: list[str] = field(default_factory=list)

    async def inject(self, cluster: Cluster, source: random.Random, traffic: Traffic) -> None:
        """First nothing but replacements, by their rules; then until there were enough jobs."""
        programs = [*cluster.workers, *cluster.apis]
        for version in (BEFORE, NOW, BEFORE):
            for program in programs:
                await self._replace(cluster, program, version, traffic)
        for program in programs[::2]:
            await self._replace(cluster, program, NOW, traffic)
        self.broken = dict(traffic.repeated)
        answers = {why: n for why, n in self.broken.items() if why.isdigit()}
        if answers:
            self.wrong.append(f"replacements failed requests: {answers}")
        while len(self.injections) < self.faults or len(traffic.accepted) < self.jobs:
            for name in _KILLS:
                if injection := await inject(name, cluster, source):
                    self.injections.append(injection)
                await _after_more_jobs(traffic)
            program = source.choice(programs)
            other = BEFORE if cluster.is_usual(program) else NOW
            await self._replace(cluster, program, other, traffic)

    async def _replace(
        self, cluster: Cluster, program: Process, version: str, traffic: Traffic
    ) -> None:
        """A program by one of the named version, in the middle of traffic."""
        await _after_more_jobs(traffic)
        kind = program.log.name.partition(".")[0]
        program.log = program.log.with_name(f"{kind}.{version}.log")
        await cluster.replace(program, self.earlier if version == BEFORE else None)
        self.replaced += 1


async def _after_more_jobs(traffic: Traffic, jobs: int = 5) -> None:
    enough = len(traffic.accepted) + jobs
    while len(traffic.accepted) < enough:  # noqa: ASYNC110 - other tasks submit them
        await asyncio.sleep(0.02)


def served(folder: Path, version: str) -> dict[str, int]:
    """What the programs of a version did, by their logs: jobs that ended, requests answered."""
    said = {
        kind: "".join(log.read_text() for log in folder.glob(f"{kind}-*.{version}.log"))
        for kind in ("worker", "api")
    }
    return {
        "jobs ended": said["worker"].count('"event": "job_ended"'),
        "submissions accepted": said["api"].count('/jobs", "status": 202'),
    }


async def _run(deploys: RollingDeploys, folder: Path) -> list[str]:
    """Run it and say what happened; returns what was wrong."""
    out = sys.stdout
    async with running_cluster(folder, settings=HOOKS) as cluster:
        verdict = await deploys.run(cluster)
        logs = cluster.logs()
        by = {version: served(cluster.folder, version) for version in (BEFORE, NOW)}
    wrong = deploys.wrong + verdict.wrong
    wrong += [f"{version}: no {what}" for version in by for what, n in by[version].items() if not n]
    out.write(
        f"{verdict.jobs} jobs {verdict.statuses}, {verdict.events} events,"
        f" {verdict.crashes} crashes\n    submitted: {dict(deploys.submitted)}\n"
        f"    {deploys.replaced} replacements by the other version; until the first kill requests"
        f" were repeated for {deploys.broken}; {dict(deploys.injected)}\n"
    )
    out.writelines(f"    {version}: {did}\n" for version, did in by.items())
    out.writelines(f"    WRONG: {what}\n" for what in wrong[:20])
    if wrong:
        _keep(logs)
    return wrong


def _keep(logs: str) -> None:
    LOGS.write_text(logs, "utf-8")
    sys.stdout.write(f"All logs are kept in {LOGS}.\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.versions", description=__doc__)
    parser.add_argument("--before", metavar="REV", help="a commit; else the last with other tables")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--kills", type=int, default=12)
    given = parser.parse_args()
    console = Console(stderr=True)
    with public_folder() as folder:
        with console.status("Unpacking the earlier version and compiling its kernels"):
            revision = given.before or version_with_other_tables()
            earlier = EarlierVersion.unpacked(revision, folder / "earlier")
        source = earlier.imported_from()
        assert source.is_relative_to(earlier.folder), source
        sys.stdout.write(
            f"before: {earlier.name}, migrations to {max(migrations_of(revision))}\n"
            f"    imported from {source}\n"
        )
        deploys = RollingDeploys(given.seed, given.jobs, given.kills, earlier=earlier.environment)
        with console.status("Both versions serve"):
            wrong = asyncio.run(_run(deploys, folder))
    return int(bool(wrong))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoHistory as error:
        sys.exit(str(error))

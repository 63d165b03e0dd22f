"""The judge: whether nothing was lost and nothing happened twice, from what is stored."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import undefer

from optimized_tsp.core.database import Database
from optimized_tsp.events.types import TERMINAL_EVENTS
from optimized_tsp.jobs.models import Instance, Job, Solution
from optimized_tsp.jobs.solutions import stored_solution
from optimized_tsp.jobs.states import TERMINAL, JobStatus
from optimized_tsp.solvers.contract import InvalidSolution
from optimized_tsp.solvers.registry import all_solvers
from tests.faults.traffic import Traffic, Watcher
from tests.webhooks.receiver import Receiver

_CRASHES_TO_FAIL = 3

_JOBS = text(
    "SELECT id, solver, version, status, attempt, crashes, last_seq, error, instance_digest"
    " FROM jobs ORDER BY id"
)
_EVENTS = text("SELECT job_id, seq, type, position FROM events ORDER BY position")
_SOLUTIONS = (
    select(Job, Solution, Instance)
    .join(Solution, Solution.job_id == Job.id)
    .join(Instance, Instance.digest == Job.instance_digest)
    .options(undefer(Instance.payload))
)


@dataclass(frozen=True)
class Witnesses:
    """Who was promised something: those who submit, those who follow the feed, a receiver."""

    traffic: Traffic
    watchers: Sequence[Watcher]
    hooks: Receiver


@dataclass(frozen=True)
class Verdict:
    """What was found wrong, one sentence each, and how much was looked at."""

    wrong: list[str]
    jobs: int
    events: int
    crashes: int
    statuses: dict[str, int]


async def all_ended(database: Database) -> bool:
    """Whether no job waits or runs."""
    active = "SELECT count(*) FROM jobs WHERE status IN ('Submitted', 'Running')"
    async with database.read() as session:
        return not await session.scalar(text(active))


async def all_delivered(database: Database) -> bool:
    """Whether no webhook is owed any more."""
    owed = (
        "SELECT count(*) FROM webhook_deliveries WHERE delivered_at IS NULL AND failed_at IS NULL"
    )
    async with database.read() as session:
        return not await session.scalar(text(owed))


async def newest_position(database: Database) -> int:
    """The feed's last position, once every event has one."""
    async with database.read() as session:
        return int(await session.scalar(text("SELECT max(position) FROM events")) or 0)


async def judge(database: Database, witnesses: Witnesses, *, crash_faults: int) -> Verdict:
    """Everything that must hold when all is calm again and every job has ended."""
    async with database.read() as session:
        jobs = (await session.execute(_JOBS)).all()
        events = (await session.execute(_EVENTS)).all()
        solutions = (await session.execute(_SOLUTIONS)).all()
    wrong = [*witnesses.traffic.refused]
    wrong += _judge_accepted(witnesses.traffic, jobs)
    of_job: dict[UUID, list[Any]] = defaultdict(list)
    for event in events:
        of_job[event.job_id].append(event)
    for job in jobs:
        wrong += _judge_job(job, of_job[job.id])
    for solved, solution, instance in solutions:
        wrong += _judge_solution(solved, solution, instance.payload)
    for watcher in witnesses.watchers:
        wrong += _judge_transcript(watcher, events)
    wrong += _judge_webhooks(witnesses.hooks, events)
    crashes = sum(job.crashes for job in jobs)
    if crashes > crash_faults:
        wrong.append(f"{crashes} crashes, but only {crash_faults} faults could cause one")
    statuses = Counter(job.status for job in jobs)
    return Verdict(wrong, len(jobs), len(events), crashes, dict(statuses))


def _judge_accepted(traffic: Traffic, jobs: Sequence[Any]) -> list[str]:
    stored = {str(job.id) for job in jobs}
    counted = Counter(traffic.accepted)
    wrong = [f"job {job} was accepted and is gone" for job in counted if job not in stored]
    wrong += [f"job {job} was made for {n} submissions" for job, n in counted.items() if n > 1]
    wrong += [f"job {job} was made for nobody" for job in stored - set(counted)]
    return wrong


def _judge_job(job: Any, events: Sequence[Any]) -> list[str]:
    wrong = []
    status = JobStatus(job.status)
    if status not in TERMINAL:
        wrong.append(f"is still {status}")
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        wrong.append(f"has the events {[event.seq for event in events]}")
    if job.last_seq != len(events):
        wrong.append(f"counts {job.last_seq} events and has {len(events)}")
    terminal = [event.seq for event in events if event.type in TERMINAL_EVENTS]
    if terminal != [len(events)]:
        wrong.append(f"ended at {terminal} of {len(events)} events")
    if status is JobStatus.FAILED and job.crashes < _CRASHES_TO_FAIL:
        wrong.append(f"failed after {job.crashes} crashes: {job.error}")
    if job.attempt > job.crashes + 1:
        wrong.append(f"took {job.attempt} attempts with {job.crashes} crashes")
    return [f"job {job.id} {what}" for what in wrong]


def _judge_solution(job: Job, row: Solution, payload: bytes | None) -> list[str]:
    """By the solver's own check, which knows nothing of its algorithm."""
    value = stored_solution(row)
    if value is None:
        return []
    solver = all_solvers()[job.solver, job.version]
    assert payload is not None
    instance = solver.instance_type.model_validate_json(payload)
    try:
        solver.check(instance, solver.solution_type.model_validate(value))
    except InvalidSolution as error:
        return [f"job {job.id} has a wrong solution: {error}"]
    return []


def _judge_transcript(watcher: Watcher, events: Sequence[Any]) -> list[str]:
    seen = [(event["task_id"], event["seq"]) for event in watcher.events]
    logged = [(str(event.job_id), event.seq) for event in events]
    if seen == logged:
        return []
    twice = sum(count > 1 for count in Counter(seen).values())
    missing = len(set(logged) - set(seen))
    ordered = [event for event in logged if event in set(seen)] == seen
    what = f"{missing} missing, {twice} twice, {'in order' if ordered else 'out of order'}"
    return [f"watcher {watcher.number} saw {len(seen)} of {len(logged)} events: {what}"]


def _judge_webhooks(hooks: Receiver, events: Sequence[Any]) -> list[str]:
    """Every event at least once; the same event always with the same id, and none without."""
    ids: dict[tuple[str, int], set[str]] = defaultdict(set)
    for request in hooks.received:
        data = orjson.loads(request.body)["data"]
        ids[data["task_id"], data["seq"]].add(request.id)
    logged = {(str(event.job_id), event.seq) for event in events}
    wrong = []
    if missing := logged - set(ids):
        wrong.append(f"{len(missing)} of {len(logged)} events were not delivered to the webhook")
    if strange := set(ids) - logged:
        wrong.append(f"{len(strange)} events came by webhook that never happened")
    if torn := sum(len(of_event) > 1 for of_event in ids.values()):
        wrong.append(f"{torn} events came by webhook with several ids")
    return wrong


@dataclass(frozen=True)
class Story:
    """What is stored about one job."""

    job: Job
    types: list[str]

    @property
    def status(self) -> JobStatus:
        return JobStatus(self.job.status)


class Stories:
    """Looks at single jobs, and waits for them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell(self, job_id: str) -> Story:
        async with self._database.read() as session:
            job = (await session.scalars(select(Job).where(Job.id == UUID(job_id)))).one()
            types = await session.scalars(
                text("SELECT type FROM events WHERE job_id = :id ORDER BY seq"), {"id": job.id}
            )
            return Story(job, [event.removeprefix("job.") for event in types])

    async def until(
        self, job_id: str, wanted: Callable[[Story], bool], within_s: float = 30.0
    ) -> Story:
        """Wait until the job's story is as wanted; fail with the story when it is not in time."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not wanted(story := await self.tell(job_id)):
            assert asyncio.get_running_loop().time() < deadline, (story.status, story.types)
            await asyncio.sleep(0.02)
        return story

    async def until_ended(self, job_id: str, within_s: float = 30.0) -> Story:
        return await self.until(job_id, lambda story: story.status in TERMINAL, within_s)

    async def count(self) -> int:
        """Jobs there are."""
        async with self._database.read() as session:
            return int(await session.scalar(text("SELECT count(*) FROM jobs")) or 0)

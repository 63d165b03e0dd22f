"""The judge: whether nothing was lost and nothing happened twice, from what is stored and was seen.

`read_evidence` takes down what is stored; `judge` compares it with what was promised, seen and done
to the cluster. It needs no database, so that its own tests can tell it falsified stories.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import undefer

from optimized_tsp.core.database import Database
from optimized_tsp.events.types import TERMINAL_EVENTS, EventType
from optimized_tsp.jobs.models import Instance, Job, Solution
from optimized_tsp.jobs.solutions import stored_solution
from optimized_tsp.jobs.states import MAX_CRASHES, TERMINAL, JobStatus
from optimized_tsp.solvers.contract import InvalidSolution
from optimized_tsp.solvers.registry import AnySolver, all_solvers
from tests.faults.cluster import PLUGINS
from tests.faults.faults import CAN_CRASH_JOBS, RUNNING_AT_ONCE, Injection
from tests.faults.traffic import Traffic, Watcher
from tests.webhooks.receiver import Receiver

# The threads of a killed process die one after another, and its sockets close with the last one.
_AFTERMATH = timedelta(seconds=0.25)
_DEFECTS = frozenset({"unexpected_error", "job_defect"})
_LAST_EVENT = {
    JobStatus.COMPLETED: EventType.COMPLETED,
    JobStatus.FAILED: EventType.FAILED,
    JobStatus.CANCELLED: EventType.CANCELLED,
}
_JOBS = select(Job, Instance).join(Instance).options(undefer(Instance.payload)).order_by(Job.id)
_EVENTS = text("SELECT job_id, seq, type, position, at, data FROM events ORDER BY position")


@dataclass(frozen=True)
class JobRow:
    """A job as it is stored; `payload` is its instance."""

    id: UUID
    solver: str
    version: str
    name: str | None
    status: str
    attempt: int
    crashes: int
    last_seq: int
    error: str | None
    payload: bytes


@dataclass(frozen=True)
class EventRow:
    """An event as it is stored."""

    job_id: UUID
    seq: int
    type: str
    position: int | None
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A job's row of solutions; `solution` as the solver's schema has it, None without one."""

    solution: dict[str, Any] | None
    lower_bound: int | None
    final: bool = True
    is_infeasible: bool = False


@dataclass(frozen=True)
class Evidence:
    """All that is stored; events in the feed's order."""

    jobs: Sequence[JobRow]
    events: Sequence[EventRow]
    answers: Mapping[UUID, Answer]


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
    jobs: int = 0
    events: int = 0
    crashes: int = 0
    statuses: dict[str, int] = field(default_factory=dict)


async def read_evidence(database: Database) -> Evidence:
    """Take down what is stored now."""
    async with database.read() as session:
        jobs = (await session.execute(_JOBS)).all()
        events = (await session.execute(_EVENTS)).all()
        solutions = (await session.scalars(select(Solution))).all()
    return Evidence(
        jobs=[_job_row(job, instance) for job, instance in jobs],
        events=[EventRow(*event) for event in events],
        answers={
            row.job_id: Answer(
                stored_solution(row), row.lower_bound, row.final, row.infeasibility is not None
            )
            for row in solutions
        },
    )


def _job_row(job: Job, instance: Instance) -> JobRow:
    assert instance.payload is not None
    return JobRow(
        id=job.id,
        solver=job.solver,
        version=job.version,
        name=job.name,
        status=job.status,
        attempt=job.attempt,
        crashes=job.crashes,
        last_seq=job.last_seq,
        error=job.error,
        payload=instance.payload,
    )


def judge(
    evidence: Evidence, witnesses: Witnesses, injections: Sequence[Injection], logs: str = ""
) -> Verdict:
    """Everything that must hold when all is calm again and every job has ended."""
    traffic = witnesses.traffic
    of_job: dict[UUID, list[EventRow]] = defaultdict(list)
    for event in evidence.events:
        of_job[event.job_id].append(event)
    wrong = [*traffic.refused, *_judge_promises(traffic, evidence.jobs)]
    wrong += [f"events of job {job}, which does not exist" for job in _strangers(evidence, of_job)]
    for job in evidence.jobs:
        events, answer = of_job[job.id], evidence.answers.get(job.id)
        found = [
            *_judge_events(job, events),
            *_judge_end(job, traffic),
            *_judge_answer(job, answer, events),
            *_judge_crashes(job, events, injections, doomed=str(job.id) in traffic.doomed),
        ]
        wrong += [f"job {job.id} {what}" for what in found]
    for watcher in witnesses.watchers:
        wrong += _judge_transcript(watcher, evidence.events)
    wrong += _judge_webhooks(witnesses.hooks, evidence.events)
    wrong += _judge_logs(logs)
    crashes = sum(job.crashes for job in evidence.jobs)
    can_crash = sum(injection.name in CAN_CRASH_JOBS for injection in injections)
    explained = RUNNING_AT_ONCE * can_crash + MAX_CRASHES * len(traffic.doomed)
    if crashes > explained:
        wrong.append(f"{crashes} crashes, of which faults explain {explained}")
    statuses = dict(Counter(job.status for job in evidence.jobs))
    return Verdict(wrong, len(evidence.jobs), len(evidence.events), crashes, statuses)


def _strangers(evidence: Evidence, of_job: Mapping[UUID, Sequence[EventRow]]) -> list[UUID]:
    return sorted(set(of_job) - {job.id for job in evidence.jobs})


def _judge_promises(traffic: Traffic, jobs: Sequence[JobRow]) -> list[str]:
    """Every accepted submission is one job, and the job is what was submitted."""
    stored = {str(job.id): job for job in jobs}
    counted = Counter(traffic.accepted)
    wrong = [f"job {job} was accepted and is gone" for job in counted if job not in stored]
    wrong += [f"job {job} was made for {n} submissions" for job, n in counted.items() if n > 1]
    wrong += [f"job {job} was made for nobody" for job in sorted(set(stored) - set(counted))]
    for job_id, body in traffic.bodies.items():
        if job_id in stored and not _is_of(stored[job_id], body):
            wrong.append(f"job {job_id} is not what was submitted")
    for job_id, path in traffic.paths.items():
        job = stored.get(job_id)
        if job is not None and path != f"/{job.solver}_solver/{job.version}/jobs":
            wrong.append(f"job {job_id} was submitted to {path} and is of {job.version}")
    return wrong


def _solver_of(job: JobRow) -> AnySolver:
    return _solvers()[job.solver, job.version]


@cache
def _solvers() -> dict[tuple[str, str], AnySolver]:
    """Those of the cluster: ours, another version, and the one that misbehaves on request."""
    sys.path.insert(0, str(PLUGINS))
    try:
        odd: AnySolver = import_module("odd_solvers").OddSolver()
        other: AnySolver = import_module("experimental_tsp").ExperimentalTsp()
    finally:
        sys.path.remove(str(PLUGINS))
    return {**all_solvers(), **{(s.name, s.version): s for s in (odd, other)}}


def _is_of(job: JobRow, body: Mapping[str, Any]) -> bool:
    solver = _solver_of(job)
    submitted = solver.instance_type.model_validate(body.get(solver.instance_field))
    stored = solver.instance_type.model_validate_json(job.payload)
    return job.name == body.get("name") and bool(stored == submitted)


def _judge_events(job: JobRow, events: Sequence[EventRow]) -> list[str]:
    """Dense from 1 in the feed's order, the first and the last as they should be, and one end."""
    wrong = []
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        wrong.append(f"has the events {[event.seq for event in events]}")
    if any(event.position is None for event in events):
        wrong.append("has events without a place in the feed")
    if job.last_seq != len(events):
        wrong.append(f"counts {job.last_seq} events and has {len(events)}")
    types = [event.type for event in events]
    if types[:1] != [EventType.SUBMITTED] or types.count(EventType.SUBMITTED) != 1:
        wrong.append("was not submitted first, and once")
    terminal = [event.seq for event in events if event.type in TERMINAL_EVENTS]
    if terminal != [len(events)]:
        wrong.append(f"ended at {terminal} of {len(events)} events")
    elif types[-1] != _LAST_EVENT.get(JobStatus(job.status)):
        wrong.append(f"is {job.status} and its last event {types[-1]}")
    return wrong


def _judge_end(job: JobRow, traffic: Traffic) -> list[str]:
    """It ended, as it had to: nobody but its user cancels it, nothing but crashes fails it."""
    status, job_id = JobStatus(job.status), str(job.id)
    if status not in TERMINAL:
        return [f"is still {status}"]
    if status is JobStatus.CANCELLED and job_id not in traffic.cancelled:
        return ["was cancelled by nobody"]
    if status is JobStatus.FAILED and not (
        job.crashes == MAX_CRASHES and f"{MAX_CRASHES} crashes" in (job.error or "")
    ):
        return [f"failed after {job.crashes} crashes: {job.error}"]
    if status is JobStatus.COMPLETED and job_id in traffic.doomed:
        return ["completed, though its solver crashes always"]
    return []


def _judge_answer(job: JobRow, answer: Answer | None, events: Sequence[EventRow]) -> list[str]:
    """By the solver's own check, which knows nothing of its algorithm; and as good as was told."""
    solution = None if answer is None else answer.solution
    wrong = []
    if job.status == JobStatus.COMPLETED:
        if answer is None or not (solution or answer.is_infeasible):
            wrong.append("completed without an answer")
        elif not answer.final:
            wrong.append("completed with an answer that is not final")
    told: list[int] = [event.data["cost"] for event in events if event.data.get("cost") is not None]
    if solution is None or answer is None:
        return [*wrong, "told of a solution that is gone"] if told else wrong
    if told != sorted(told, reverse=True):
        wrong.append(f"told of costs {told}")
    if told and told[-1] != solution["cost"]:
        wrong.append(f"told of {told[-1]} and has a solution of {solution['cost']}")
    if answer.lower_bound is not None and answer.lower_bound > solution["cost"]:
        wrong.append(f"has a bound {answer.lower_bound} above its cost {solution['cost']}")
    solver = _solver_of(job)
    instance = solver.instance_type.model_validate_json(job.payload)
    try:
        solver.check(instance, solver.solution_type.model_validate(solution))
    except InvalidSolution as error:
        wrong.append(f"has a wrong solution: {error}")
    return wrong


def _judge_crashes(
    job: JobRow, events: Sequence[EventRow], injections: Sequence[Injection], *, doomed: bool
) -> list[str]:
    """Attempts are crashes and one more; a run that crashed did so while a fault lasted."""
    if not job.crashes <= job.attempt <= job.crashes + 1:
        return [f"took {job.attempt} attempts with {job.crashes} crashes"]
    if doomed:
        return []
    runs = [event for event in events if event.type == EventType.STARTED]
    crashed = [
        (run.at, following.at)
        for run, following in pairwise([*runs, *events[-1:]])
        if following.data.get("attempt", 0) > run.data["attempt"]
        or (following.type == EventType.FAILED)
    ]
    faults = [fault for fault in injections if fault.name in CAN_CRASH_JOBS]
    return [
        f"crashed between {begin:%H:%M:%S.%f} and {end:%H:%M:%S.%f}, and nothing had happened"
        for begin, end in crashed
        if not any(fault.begin <= end and fault.end + _AFTERMATH >= begin for fault in faults)
    ]


def _judge_transcript(watcher: Watcher, events: Sequence[EventRow]) -> list[str]:
    """What a client saw is the log: each event once, in order, as it is stored."""
    seen = [(event["task_id"], event["seq"]) for event in watcher.events]
    logged = [(str(event.job_id), event.seq) for event in events]
    if seen != logged:
        twice = sum(count > 1 for count in Counter(seen).values())
        missing = len(set(logged) - set(seen))
        ordered = [event for event in logged if event in set(seen)] == seen
        what = f"{missing} missing, {twice} twice, {'in order' if ordered else 'out of order'}"
        return [f"watcher {watcher.number} saw {len(seen)} of {len(logged)} events: {what}"]
    other = sum(
        (told["type"], told["data"]) != (event.type, event.data)
        for told, event in zip(watcher.events, events, strict=True)
    )
    return [f"watcher {watcher.number} was told {other} events differently"] if other else []


def _judge_webhooks(hooks: Receiver, events: Sequence[EventRow]) -> list[str]:
    """Every event at least once; an event always under the same id, and no other under that."""
    ids: dict[tuple[str, int, str], set[str]] = defaultdict(set)
    of_id: dict[str, set[tuple[str, int, str]]] = defaultdict(set)
    for request in hooks.received:
        body = orjson.loads(request.body)
        event = (body["data"]["task_id"], body["data"]["seq"], body["type"])
        ids[event].add(request.id)
        of_id[request.id].add(event)
    logged = {(str(event.job_id), event.seq, event.type) for event in events}
    wrong = []
    if missing := logged - set(ids):
        wrong.append(f"{len(missing)} of {len(logged)} events were not delivered to the webhook")
    if strange := set(ids) - logged:
        wrong.append(f"{len(strange)} events came by webhook that never happened")
    if torn := sum(len(of_event) > 1 for of_event in ids.values()):
        wrong.append(f"{torn} events came by webhook with several ids")
    if shared := sum(len(under) > 1 for under in of_id.values()):
        wrong.append(f"{shared} ids of webhooks stand for several events")
    return wrong


def _judge_logs(logs: str) -> list[str]:
    """No program ran into what its authors had not thought of."""
    said = [orjson.loads(line) for line in logs.splitlines() if line.startswith('{"')]
    return [f"a log says {line}" for line in said if line.get("event") in _DEFECTS]

"""Real workers that know the misbehaving solvers of tests/plugins, and jobs for them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import orjson
import psutil
import pytest
from sqlalchemy import select, text

from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.embedded.process import Process, wait_until
from optimized_tsp.events.bus import Bus
from optimized_tsp.events.types import TERMINAL_EVENTS
from optimized_tsp.jobs.models import Job, Solution
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.service import cancel_job
from optimized_tsp.jobs.states import TERMINAL, JobStatus
from optimized_tsp.jobs.storing import NewJob, store_job
from optimized_tsp.jobs.submission import ParsedSubmission
from optimized_tsp.solvers.contract import InstanceSize
from tests.promises import overdue
from tests.stack import READY_TIMEOUT_S, RunningStack, Servers, TestDatabase, stack_env

PLUGINS = Path(__file__).parents[1] / "plugins"
DEADLINE_S = 90.0


@dataclass(frozen=True)
class Story:
    """All that is stored about a job."""

    job: Job
    solution: Solution | None
    events: list[Any]

    @property
    def status(self) -> JobStatus:
        return JobStatus(self.job.status)

    @property
    def cost(self) -> int | None:
        return self.solution.cost if self.solution else None

    @property
    def types(self) -> list[str]:
        return [event.type.removeprefix("job.") for event in self.events]

    def of_type(self, name: str) -> list[Any]:
        return [event for event in self.events if event.type == f"job.{name}"]

    def assert_events_are_sound(self) -> None:
        """Dense from 1; costs only fall, bounds only rise; one terminal event, last, if ended."""
        assert [event.seq for event in self.events] == list(range(1, len(self.events) + 1))
        costs = [event.data["cost"] for event in self.of_type("incumbent")]
        assert costs == sorted(costs, reverse=True)
        terminal = [event.seq for event in self.events if event.type in TERMINAL_EVENTS]
        assert terminal == ([len(self.events)] if self.status in TERMINAL else [])
        if costs and self.status in TERMINAL:
            assert self.cost is not None
            assert self.cost <= costs[-1]


class Submit(Protocol):
    """Stores a job for the misbehaving solver and rings for it."""

    def __call__(
        self,
        behaviour: str,
        *,
        timeout_s: float = 60.0,
        gate: Path | None = None,
        size: int = 3,
        ring: bool = True,
    ) -> Awaitable[UUID]: ...


Until = Callable[..., Awaitable[Story]]


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, application_name="tests")
    yield database
    await database.close()


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    bus = Bus(redis_url)
    yield bus
    await bus.close()


def below(worker: Process) -> list[psutil.Process]:
    """The fork server of a worker and its solver child, once there."""
    found: list[psutil.Process] = psutil.Process(worker.pid).children(recursive=True)
    return found


@contextmanager
def fleet_on(database: TestDatabase, redis_url: str, folder: Path) -> Iterator[RunningStack]:
    """No worker yet: `fleet.start_worker()`. Leases are short, so that rescues come soon."""
    env = stack_env(
        database, redis_url, lease_s="3", solver_threads="1", data_dir=str(folder / "data")
    )
    fleet = RunningStack(folder, env | {"PYTHONPATH": str(PLUGINS)})
    try:
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def fleet(database: TestDatabase, redis_url: str, tmp_path: Path) -> Iterator[RunningStack]:
    """Workers of one test's own."""
    with fleet_on(database, redis_url, tmp_path) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def standing_database(servers: Servers) -> Iterator[TestDatabase]:
    """A database for all tests of a file; that file says that it is its `database`."""
    with servers.database() as database:
        yield database


@pytest.fixture(scope="module")
def standing_fleet(
    servers: Servers, standing_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """One worker for all tests of a file: starting one takes longer than most jobs here."""
    folder = tmp_path_factory.mktemp("fleet")
    with fleet_on(standing_database, servers.identity.redis_url, folder) as fleet:
        worker = fleet.start_worker()
        assert wait_until(lambda: len(below(worker)) == 2, timeout_s=READY_TIMEOUT_S)
        yield fleet


@pytest.fixture
def valkey(servers: Servers) -> Iterator[Process]:
    """The server, for stopping; it runs again after the test."""
    yield servers._embedded.valkey
    restart(servers._embedded.valkey)


@pytest.fixture
def postgres(servers: Servers) -> Iterator[Process]:
    """The server, for stopping; it runs again after the test."""
    yield servers._embedded.postgres.process
    restart(servers._embedded.postgres.process)


def restart(server: Process) -> None:
    if not server.is_running():
        server.start()
        server.wait_ready(timeout_s=READY_TIMEOUT_S)


@pytest.fixture
def submit(db: Database, bus: Bus) -> Submit:
    async def submit(
        behaviour: str,
        *,
        timeout_s: float = 60.0,
        gate: Path | None = None,
        size: int = 3,
        ring: bool = True,
    ) -> UUID:
        payload = orjson.dumps({"size": size})
        submission = ParsedSubmission(
            solver="odd",
            version="v1",
            name=None,
            tags={},
            parameters={"behaviour": behaviour, "gate": None if gate is None else str(gate)},
            timeout_s=timeout_s,
            size=InstanceSize(size, None),
            payload=payload,
            digest=hashlib.sha256(payload).digest(),
        )
        async with db.write() as session:
            stored = await store_job(session, NewJob(DEFAULT_TENANT_ID, submission))
        if ring:
            bus.ring()
        return stored.job_id

    return submit


async def tell(db: Database, job_id: UUID) -> Story:
    async with db.read() as session:
        job = (await session.scalars(select(Job).where(Job.id == job_id))).one()
        solution = await session.get(Solution, job_id)
        events = await session.execute(
            text("SELECT seq, type, at, data FROM events WHERE job_id = :id ORDER BY seq"),
            {"id": job_id},
        )
        return Story(job, solution, list(events.all()))


@pytest.fixture
def until(db: Database) -> Until:
    """Waits until the stored story of a job is as wanted; fails with the story when it is not.

    Where others use the machine it waits for as much longer as that slows everything down.
    """

    async def until(
        job_id: UUID, wanted: Callable[[Story], object], within_s: float = DEADLINE_S
    ) -> Story:
        begun = time.monotonic()
        while not wanted(story := await tell(db, job_id)):
            assert not overdue(begun, within_s), f"{story.status}: {story.events}"
            await asyncio.sleep(0.01)
        story.assert_events_are_sound()
        return story

    return until


@pytest.fixture
def until_ended(until: Until) -> Until:
    """Waits until a job ended."""

    async def until_ended(job_id: UUID, within_s: float = DEADLINE_S) -> Story:
        return await until(job_id, lambda story: story.status in TERMINAL, within_s)

    return until_ended


@pytest.fixture
def cancel(db: Database, bus: Bus) -> Callable[..., Awaitable[None]]:
    """Asks to cancel as the API does; `announce=False` loses the message on the bus."""

    async def cancel(job_id: UUID, *, announce: bool = True) -> None:
        async with db.write() as session:
            await cancel_job(session, Scope(DEFAULT_TENANT_ID, "odd", "v1"), job_id)
        if announce:
            bus.announce_cancel(job_id)

    return cancel

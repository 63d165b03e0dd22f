"""The application on a real uvicorn in a thread of its own; jobs that things happen to."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from threading import Thread
from typing import Any, Protocol
from uuid import UUID

import orjson
import pytest
import uvicorn
from pydantic import SecretStr
from sqlalchemy import select
from websockets.asyncio.client import ClientConnection, connect

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Auth, Settings
from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.events.bus import Bus
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.answers import Answer, finish
from optimized_tsp.jobs.leases import Claim, claim_next
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.outcomes import Progress, save_progress
from optimized_tsp.jobs.storing import NewJob, store_job
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.jobs.transitions import Happened, record
from optimized_tsp.live import stream
from optimized_tsp.live.feed import Feed
from optimized_tsp.live.protocol import websocket_options
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.solvers.tsp import TspSolver
from tests.promises import overdue

DEADLINE_S = 60.0
SUBMISSION: dict[str, Any] = {"tsp_instance": {"matrix": [[None, 1], [1, None]]}}


class Server:
    """An API as in a process of its own: its own loop, pools, Redis subscription and port."""

    def __init__(self, settings: Settings, port: int) -> None:
        self._app = create_app(settings)
        self.uvicorn = uvicorn.Server(
            uvicorn.Config(
                self._app, port=port, loop="uvloop", log_config=None, **websocket_options()
            )
        )
        self._thread = Thread(target=self.uvicorn.run)

    @property
    def feed(self) -> Feed:
        feed: Feed = self._app.state.feed
        return feed

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + DEADLINE_S
        while not self.uvicorn.started:
            assert time.monotonic() < deadline
            assert self._thread.is_alive()
            time.sleep(0.005)
        self.port: int = self.uvicorn.servers[0].sockets[0].getsockname()[1]
        # FastAPI builds its routes with the first request; two threads must not do so at once.
        with closing(HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("GET", "/nowhere")
            assert connection.getresponse().status == HTTPStatus.NOT_FOUND

    def stop(self) -> float:
        """Stop as on SIGTERM; returns how many seconds it took."""
        began = time.monotonic()
        self.uvicorn.should_exit = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    @property
    def subscribers(self) -> int:
        return len(self.feed._outboxes)

    def url(self, path: str = "/live") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"


class StartServer(Protocol):
    """Starts an API; it is stopped after the test."""

    def __call__(self, *, port: int = 0, redis_url: str = ..., auth: Auth = Auth.OFF) -> Server: ...


@pytest.fixture
def start_server(database_url: str, redis_url: str) -> Iterator[StartServer]:
    started: list[Server] = []

    def start(*, port: int = 0, redis_url: str = redis_url, auth: Auth = Auth.OFF) -> Server:
        settings = Settings(
            database_url=SecretStr(database_url.replace("+asyncpg", "")),
            redis_url=SecretStr(redis_url),
            auth=auth,
        )
        server = Server(settings, port)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        if not server.uvicorn.should_exit:
            server.stop()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing for a while because the machine is slow is not taken for a subscriber."""
    monkeypatch.setattr(stream, "FIRST_MESSAGE_S", 10.0)


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server()


class Jobs:
    """Submits jobs and makes things happen to them, as the API and a worker would."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self.database = database
        self.bus = bus
        self._claims: dict[UUID, Claim] = {}
        self._claiming = asyncio.Lock()

    async def submit(self, tenant_id: UUID = DEFAULT_TENANT_ID, **tags: str) -> UUID:
        """A new job, with its event `job.submitted`."""
        body = {**SUBMISSION, "tags": tags}
        submission = parse_submission(TspSolver(), orjson.dumps(body), Settings())
        async with self.database.write() as session:
            stored = await store_job(session, NewJob(tenant_id, submission))
        self.bus.announce(stored.job_id)
        return stored.job_id

    async def improve(self, job_id: UUID, cost: int) -> None:
        """A worker finds a solution of this cost, and says so; it takes jobs until it has this."""
        async with self._claiming:
            while job_id not in self._claims:
                claim = await claim_next(self.database, worker="test", lease_s=60)
                assert claim is not None
                self._claims[claim.job_id] = claim
        solution = {"node_order": [0, 1], "cost": cost}
        progress = Progress(solution, lower_bound=None, elapsed_s=0.1)
        async with self.database.write() as session:
            assert await save_progress(session, self._claims[job_id], progress)
        self.bus.announce(job_id)

    async def finish(self, job_id: UUID) -> None:
        """Its worker ends it with the best solution so far."""
        answer = Answer(
            SolutionStatus.FEASIBLE,
            StopReason.TIME_LIMIT,
            solution=None,
            lower_bound=None,
            infeasibility=None,
            statistics=None,
            elapsed_s=0.2,
        )
        async with self.database.write() as session:
            await finish(session, self._claims.pop(job_id), answer)
        self.bus.announce(job_id)

    async def happen(self, job_id: UUID, times: int = 1, **data: Any) -> None:
        """So many events of the job, in one transaction."""
        async with self.database.write() as session:
            await self.happen_in(session, job_id, times, **data)
        self.bus.announce(job_id)

    async def happen_in(
        self, session: WriteSession, job_id: UUID, times: int = 1, **data: Any
    ) -> None:
        """The same in an open transaction."""
        job = await session.scalar(select(Job).where(Job.id == job_id).with_for_update())
        assert job is not None
        for _ in range(times):
            await record(session, Happened(job, EventType.INCUMBENT, data))
        await session.flush()


@pytest.fixture
async def jobs(database_url: str, redis_url: str) -> AsyncIterator[Jobs]:
    database = Database(database_url, pool_size=10, application_name="tests")
    bus = Bus(redis_url)
    yield Jobs(database, bus)
    await bus.close()
    await database.close()


class Client:
    """A websocket client of the feed."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.cursor: str | None = None
        self._asked = 0
        self._received: deque[dict[str, Any]] = deque()

    async def send(self, **message: Any) -> None:
        await self.socket.send(orjson.dumps(message).decode())

    async def receive(self, *, pings: bool = False) -> dict[str, Any]:
        """The next message of the server; one of its `pings` only if asked for, else answered."""
        if self._received:
            return self._received.popleft()
        while True:
            async with asyncio.timeout(DEADLINE_S):
                message: dict[str, Any] = orjson.loads(await self.socket.recv())
            if pings or message != {"type": "ping"}:
                return message
            await self.send(type="pong")

    async def subscribe(self, **fields: Any) -> str:
        """Subscribe; returns the cursor of the answer."""
        await self.send(type="subscribe", **fields)
        answer = await self.receive()
        assert answer["type"] == "subscribed", answer
        self.cursor = str(answer["cursor"])
        return self.cursor

    async def event(self) -> dict[str, Any]:
        """The next message, which is an event."""
        message = await self.receive()
        assert message["type"] == "event", message
        event: dict[str, Any] = message["event"]
        self.cursor = event["cursor"]
        return event

    async def events(self, count: int) -> list[dict[str, Any]]:
        return [await self.event() for _ in range(count)]

    async def seqs(self, count: int) -> list[int]:
        return [event["seq"] for event in await self.events(count)]

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Make a request; returns the answer. What comes before it is received later."""
        self._asked += 1
        await self.send(type=kind, id=self._asked, **fields)
        before = []
        while (answer := await self.receive()).get("id") != self._asked:
            assert "id" not in answer
            before.append(answer)
        self._received.extendleft(reversed(before))
        return answer

    @property
    def before(self) -> list[dict[str, Any]]:
        """What came before the last answer and was not received yet."""
        return list(self._received)

    async def result(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Make a request; returns what the answer says."""
        answer = await self.ask(kind, **fields)
        assert answer["type"] == "response", answer
        result: dict[str, Any] = answer["result"]
        return result

    async def problem(self, kind: str, **fields: Any) -> tuple[int, str, str]:
        """Make a request that is refused; returns status, code and pointer."""
        answer = await self.ask(kind, **fields)
        assert answer["type"] == "error", answer
        error = answer["error"]
        return error["status"], error["code"], error["pointer"]

    async def submit(self, **fields: Any) -> str:
        """Submit a job of the solver tsp v1; returns its id."""
        fields = {"solver": "tsp", "version": "v1", "body": SUBMISSION} | fields
        job = await self.result("submitJob", **fields)
        return str(job["task_id"])

    async def closed(self) -> tuple[int, str]:
        """Wait until the server has closed; its code and reason."""
        async with asyncio.timeout(DEADLINE_S):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code, self.socket.close_reason or ""


@asynccontextmanager
async def client_of(server: Server, path: str = "/live", **options: Any) -> AsyncIterator[Client]:
    # With a bounded queue the client library stops reading, and then its own close takes 10 s.
    socket = await connect(server.url(path), proxy=None, max_queue=None, **options)
    try:
        yield Client(socket)
    finally:
        # The library closes a transport that a reset may have ended under it (Python 3.11).
        with suppress(AttributeError):
            await socket.close()


async def subscribed(stack: AsyncExitStack, server: Server, count: int) -> list[Client]:
    """Clients that subscribe as soon as they are connected: a second later it is done for them."""
    clients = []
    for _ in range(count):
        client = await stack.enter_async_context(client_of(server))
        await client.subscribe()
        clients.append(client)
    return clients


async def until(condition: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
    """Wait until the condition is true."""
    begun = time.monotonic()
    while not condition():
        assert not overdue(begun, timeout_s)
        await asyncio.sleep(0.005)

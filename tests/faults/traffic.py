"""What users do meanwhile: submit, cancel, delete, follow; through every fault, until it worked."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.states import TERMINAL
from tests.faults.cluster import Cluster
from tests.webhooks.receiver import Receiver

PATIENCE_S = 180.0
DOOMED = {"kind": "doomed"}
"""Tags of jobs whose solver crashes whatever happens."""
_PAUSE_S = 0.1
_REQUEST_TIMEOUT_S = 15.0
_TRY_LATER = frozenset(
    {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.CONFLICT, httpx.codes.TOO_MANY_REQUESTS}
)


@dataclass
class Traffic:
    """Users of a cluster. `accepted` are the jobs that somebody was promised."""

    cluster: Cluster
    random: random.Random
    accepted: list[str] = field(default_factory=list)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was submitted, by job."""
    paths: dict[str, str] = field(default_factory=dict)
    """Where it was submitted: to which version of which solver."""
    cancelled: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    """Answers that no fault excuses."""
    repeated: Counter[str] = field(default_factory=Counter)
    """Why requests were repeated: statuses of answers, and kinds of broken connections."""

    @property
    def doomed(self) -> set[str]:
        """Jobs whose solver crashes whatever happens."""
        return {job for job, body in self.bodies.items() if body.get("tags") == DOOMED}

    async def submit(self, client: httpx.AsyncClient, body: dict[str, Any], path: str) -> str:
        """Submit until it is accepted; repeats carry the same key, so there is one job."""
        key = {"Idempotency-Key": str(uuid4())}
        answer = await self._insist(client, "POST", path, json=body, headers=key)
        job = str(answer.json()["task_id"])
        self.accepted.append(job)
        self.bodies[job], self.paths[job] = body, path
        return job

    async def cancel(self, client: httpx.AsyncClient, path: str, job: str) -> None:
        await self._insist(client, "POST", f"{path}/{job}/cancel")
        self.cancelled.add(job)

    async def until_ended(self, client: httpx.AsyncClient, path: str, job: str) -> None:
        """Ask for the job until it has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self._insist(client, "GET", f"{path}/{job}")
                if answer.json()["status"] in TERMINAL:
                    return
                await asyncio.sleep(_PAUSE_S)

    async def _insist(
        self, client: httpx.AsyncClient, method: str, path: str, **request: Any
    ) -> httpx.Response:
        """Repeat a request at any API until one takes it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                url = self.random.choice(self.cluster.urls) + path
                try:
                    answer = await client.request(method, url, **request)
                except httpx.TransportError as broken:
                    self.repeated[type(broken).__name__] += 1
                else:
                    if answer.is_success:
                        return answer
                    self.repeated[str(answer.status_code)] += 1
                    if answer.status_code not in _TRY_LATER:
                        self.refused.append(f"{method} {path}: {answer.status_code} {answer.text}")
                        raise AssertionError(self.refused[-1])
                await asyncio.sleep(_PAUSE_S)


ODD_PATH = "/odd_solver/v1/jobs"


def odd(behaviour: str, *, gate: Path | None = None, timeout_s: float = 60.0) -> dict[str, Any]:
    """A submission for the solver that misbehaves on request (tests/plugins)."""
    parameters = {"behaviour": behaviour, "timeout": timeout_s}
    if gate is not None:
        parameters["gate"] = str(gate)
    return {"instance": {"size": 3}, "optimization_parameters": parameters}


def client() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=20)
    return httpx.AsyncClient(timeout=_REQUEST_TIMEOUT_S, limits=limits)


async def register(cluster: Cluster, hooks: Receiver) -> None:
    """Have every event of every job sent to the receiver."""
    body = {"url": hooks.url(), "event_types": [kind.value for kind in EventType]}
    async with client() as http:
        answer = await http.post(f"{cluster.urls[0]}/webhooks", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text


@dataclass
class Watcher:
    """A websocket client that comes back with its last cursor whenever it loses the connection."""

    cluster: Cluster
    number: int
    cursor: str = "0"
    events: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0

    async def watch(self, enough: Callable[[Watcher], bool]) -> None:
        """Follow the feed of all jobs until `enough`, whatever happens to the connections."""
        while not enough(self):
            with suppress(OSError, WebSocketException, InvalidHandshake, TimeoutError):
                await self._follow(enough)
            await asyncio.sleep(_PAUSE_S)

    async def _follow(self, enough: Callable[[Watcher], bool]) -> None:
        port = self.cluster.ports[(self.number + self.connections) % len(self.cluster.ports)]
        self.connections += 1
        url = f"ws://127.0.0.1:{port}/live"
        async with connect(url, open_timeout=5, ping_interval=None) as socket:
            subscribe = {"type": "subscribe", "after": self.cursor}
            self.cluster.feeds[port] += 1
            try:
                await socket.send(orjson.dumps(subscribe).decode())
                while not enough(self):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(1.0):
                            self._take(orjson.loads(await socket.recv()))
            finally:
                self.cluster.feeds[port] -= 1

    def _take(self, message: dict[str, Any]) -> None:
        assert message["type"] != "expired", message
        if message["type"] == "event":
            self.events.append(message["event"])
            self.cursor = message["event"]["cursor"]


def types_seen(watcher: Watcher, job: str) -> list[str]:
    """What a client was told of one job."""
    return [
        str(event["type"]).removeprefix("job.")
        for event in watcher.events
        if event["task_id"] == job
    ]


def completed(watcher: Watcher) -> set[str]:
    """The jobs of which a client was told that they are completed."""
    return {event["task_id"] for event in watcher.events if event["type"] == "job.completed"}

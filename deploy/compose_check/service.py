"""The service as its callers see it: HTTP from outside the containers."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from deploy.compose_check.stack import require, until

__all__ = ["JOBS", "TERMINAL", "Answer", "Service", "length_of", "random_points"]

JOBS = "/tsp_solver/v1/jobs"
TERMINAL = {"Completed", "Failed", "Cancelled"}
_TIMEOUT_S = 70.0
# An HTTP proxy of the caller's environment is not for loopback.
_open = build_opener(ProxyHandler({})).open

Points = list[list[int]]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `body` is decoded JSON, or None."""

    status: int
    body: Any


@dataclass(frozen=True)
class Service:
    """The API at an address, called with a key or without."""

    url: str
    key: str | None = None

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One call; any status is an answer."""
        request = self._request(method, path, body, headers or {})
        try:
            with _open(request, timeout=_TIMEOUT_S) as response:
                return _answer(response.status, response.read())
        except HTTPError as error:
            return _answer(error.code, error.read())

    def submit(self, points: Points, *, timeout_s: float, **more: object) -> str:
        """Post a problem; return the task's id."""
        instance = {"coordinates": points, "metric": "EUC_2D"}
        limits = {"optimization_parameters": {"timeout": timeout_s}}
        answer = self.call("POST", JOBS, {"tsp_instance": instance} | limits | more)
        require(answer.status == 202, f"submitting was answered with {answer}")
        return str(answer.body["task_id"])

    def job(self, task_id: str) -> dict[str, Any]:
        """A job's status."""
        answer = self.call("GET", f"{JOBS}/{task_id}")
        require(answer.status == 200, f"the status was answered with {answer}")
        status: dict[str, Any] = answer.body
        return status

    def wait_for_tour(self, task_id: str) -> dict[str, Any]:
        """Wait until a worker has found the first tour."""
        until(lambda: self.job(task_id)["cost"] is not None, within_s=60, what="a first tour")
        job = self.job(task_id)
        require(job["status"] == "Running", f"the job ended too soon: {job}")
        return job

    def wait_ended(self, task_id: str, *, within_s: float) -> dict[str, Any]:
        """Wait until a job has ended."""
        until(
            lambda: self.job(task_id)["status"] in TERMINAL, within_s=within_s, what="the job ends"
        )
        return self.job(task_id)

    def solution(self, task_id: str) -> dict[str, Any]:
        """A job's best solution."""
        answer = self.call("GET", f"{JOBS}/{task_id}/solution")
        require(answer.status == 200, f"the solution was answered with {answer}")
        solution: dict[str, Any] = answer.body
        return solution

    def cancel(self, task_id: str) -> dict[str, Any]:
        """Cancel a job and wait for its end."""
        answer = self.call("POST", f"{JOBS}/{task_id}/cancel")
        require(answer.status in {200, 202}, f"cancelling was answered with {answer}")
        return self.wait_ended(task_id, within_s=20)

    def stream(self, task_id: str) -> Iterator[dict[str, Any]]:
        """A job's events as they happen, to the last one."""
        headers = {"Accept": "text/event-stream"}
        request = self._request("GET", f"{JOBS}/{task_id}/events", None, headers)
        with _open(request, timeout=_TIMEOUT_S) as response:
            for line in response:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    def _request(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Request:
        every = dict(headers)
        if self.key is not None:
            every["Authorization"] = f"Bearer {self.key}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            every["Content-Type"] = "application/json"
        return Request(self.url + path, data, every, method=method)  # noqa: S310 - our own http


def _answer(status: int, body: bytes) -> Answer:
    try:
        return Answer(status, json.loads(body))
    except ValueError:
        return Answer(status, None)


def random_points(count: int, seed: int) -> Points:
    """Points with whole coordinates, all different."""
    numbers = random.Random(seed).sample(range(10**8), count)  # noqa: S311 - no secret
    return [[number // 10**4, number % 10**4] for number in numbers]


def length_of(points: Points, node_order: list[int]) -> int:
    """Length of a closed tour by TSPLIB's EUC_2D; raises `CheckFailed` when it is none."""
    require(sorted(node_order) == list(range(len(points))), "the tour does not visit every node")
    closed = [*node_order, node_order[0]]
    return sum(int(math.dist(points[a], points[b]) + 0.5) for a, b in pairwise(closed))

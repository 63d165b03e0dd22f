"""A running service as the commands see it: its REST calls, its errors as exit codes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from optimized_tsp import __version__
from optimized_tsp.cli.address import Address
from optimized_tsp.cli.exit_codes import CommandError, ExitCode, complain

__all__ = [
    "Job",
    "Rejected",
    "Service",
    "Unreachable",
    "backoff",
    "job_path",
    "rejection",
    "solver_path",
]

Job = dict[str, Any]
"""A job's status as the service answers it."""

_CONNECT_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 60.0
_SUBMIT_PATIENCE_S = 30.0
_EVENTS_PER_PAGE = 1000
_LINES_PER_PAGE = 100
_AGAIN = frozenset({409, 502, 503, 504})
"""Answers to a submission that may be another one a moment later."""
_UNEXPLAINED = "the answer does not say why; is this the address of the service?"


class Rejected(CommandError):
    """The service refused a request; `status` is the HTTP status."""

    def __init__(self, status: int, message: str, details: list[str]) -> None:
        super().__init__(message, ExitCode.REJECTED, details)
        self.status = status


class Unreachable(CommandError):
    """The service failed or there was no way to it; `sent` says that a request may have arrived."""

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message, ExitCode.UNREACHABLE)
        self.sent = sent


def solver_path(name: str, version: str) -> str:
    """What the paths of one solver's calls begin with."""
    return f"/{name}_solver/{version}"


def job_path(job: Job) -> str:
    """Where a job's status is."""
    return f"{solver_path(job['solver'], job['version'])}/jobs/{job['task_id']}"


def backoff(longest_s: float = 5.0) -> Iterator[float]:
    """Seconds to wait before each further try: growing, and different for every client."""
    most_s = 0.1
    while True:
        yield random.uniform(most_s / 2, most_s)  # noqa: S311 - spreads clients, guards nothing
        most_s = min(2 * most_s, longest_s)


def rejection(status: int, problem: Mapping[str, Any]) -> Rejected:
    """A 4xx as a person should read it; `problem` is the RFC 9457 document."""
    reason = problem.get("detail") or problem.get("title") or _UNEXPLAINED
    details = [
        f"{error.get('pointer') or '(the whole body)'}: {error.get('message')}"
        for error in problem.get("errors") or []
    ]
    if status == httpx.codes.UNAUTHORIZED:
        details.append(
            "The key is taken from OPTIMIZED_TSP_API_KEY; `optimized-tsp keys create NAME` makes "
            "one where the service runs."
        )
    return Rejected(status, f"refused ({status}): {reason}", details)


class Service:
    """The calls of one service; each raises `Rejected` or `Unreachable`.

    `patience_s`: how long a submission is tried again whose answer got lost.
    """

    def __init__(self, address: Address, *, patience_s: float = _SUBMIT_PATIENCE_S) -> None:
        self.address = address
        self._patience_s = patience_s
        self._http = httpx.Client(
            base_url=address.url,
            headers={"User-Agent": f"optimized-tsp/{__version__}", **address.headers},
            timeout=httpx.Timeout(_ANSWER_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
            trust_env=not address.is_local,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def solver(self, name: str) -> dict[str, Any]:
        """The entry of `GET /solvers` for a name like `tsp/v1`."""
        solvers = {f"{one['name']}/{one['version']}": one for one in self._solvers()}
        if name not in solvers:
            known = ", ".join(solvers)
            raise CommandError(
                f"the service has no solver {name!r}; it has: {known}", ExitCode.USAGE
            )
        return solvers[name]

    def submit(self, path: str, body: bytes, *, key: str) -> Job:
        """Post to a solver's `jobs`, with one effect however often the connection breaks."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        deadline = time.monotonic() + self._patience_s
        may_be_stored = False
        for pause_s in backoff():
            last_try = time.monotonic() > deadline
            try:
                answer = self._send("POST", path, content=body, headers=headers)
                if answer.status_code not in _AGAIN or last_try:
                    return self._object(answer)
                reason = f"the service answers {answer.status_code}"
            except Unreachable as error:
                if not (may_be_stored or error.sent):
                    raise  # nothing runs there
                if last_try:
                    error.details = [f"Try again with --idempotency-key {key}: it may be stored."]
                    raise
                reason = error.message
            if not may_be_stored:
                complain(f"{reason}; trying again ...")
            may_be_stored = True
            time.sleep(pause_s)
        raise AssertionError("backoff() ended")

    def job(self, path: str) -> Job:
        """A job's status."""
        return self._object(self._send("GET", path))

    def find_job(self, task_id: UUID) -> Job:
        """A job's status, whatever solver it is for."""
        for solver in self._solvers():
            try:
                return self.job(f"{solver_path(solver['name'], solver['version'])}/jobs/{task_id}")
            except Rejected as error:
                if error.status != httpx.codes.NOT_FOUND:
                    raise
        details = [f"`{self.address.command('jobs')}` lists the jobs there are."]
        raise Rejected(httpx.codes.NOT_FOUND, f"there is no job {task_id} here", details)

    def jobs(self, path: str, wanted: list[tuple[str, str]]) -> Iterator[Job]:
        """A solver's `jobs`, newest first, page after page as they are asked for."""
        query: httpx.QueryParams | None = httpx.QueryParams(tuple(wanted))
        while query is not None:
            answer = self._send("GET", path, params=query)
            yield from self._array(answer)
            following = answer.links.get("next", {}).get("url")
            query = None if following is None else httpx.URL(following).params

    def events(self, job: Job, *, after: int) -> Iterator[dict[str, Any]]:
        """A job's stored events after a `seq`, in order; what is gone is passed over."""
        path = f"{job_path(job)}/events"
        while True:
            query = {"after": after, "limit": _EVENTS_PER_PAGE}
            answer = self._send("GET", path, params=query)
            if answer.status_code == httpx.codes.GONE:
                after = int(_problem(answer)["oldest"])
                continue
            page = self._array(answer)
            yield from page
            if len(page) < _EVENTS_PER_PAGE:
                return
            after = page[-1]["seq"]

    def log(self, job: Job, *, after: int) -> Iterator[dict[str, Any]]:
        """A job's log behind line `after`, page by page; at least one."""
        path = f"{job_path(job)}/log"
        while True:
            query = {"after": after, "limit": _LINES_PER_PAGE}
            page = self._object(self._send("GET", path, params=query))
            yield page
            if len(page["lines"]) < _LINES_PER_PAGE:
                return
            after = page["lines"][-1]["line"]

    def solution(self, job: Job, media_type: str) -> httpx.Response:
        """The best solution so far, in one of its formats."""
        path = f"{job_path(job)}/solution"
        return self._checked(self._send("GET", path, headers={"Accept": media_type}))

    def cancel(self, job: Job) -> Job:
        """Stop a job and keep its best solution; returns its status."""
        return self._object(self._send("POST", f"{job_path(job)}/cancel"))

    def _solvers(self) -> list[dict[str, Any]]:
        return self._array(self._send("GET", "/solvers"))

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **request)
        except httpx.ConnectError as error:
            raise Unreachable(
                f"cannot reach a service at {self.address.url} ({error}). Start one with "
                "`optimized-tsp up`, or say where it runs with --url or OPTIMIZED_TSP_URL.",
                sent=False,
            ) from None
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(f"no answer from {self.address.url}: {reason}") from None

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        problem = _problem(answer)
        if answer.is_client_error:
            raise rejection(answer.status_code, problem)
        reason = problem.get("detail") or answer.reason_phrase
        if answer.has_redirect_location:
            reason = f"it has moved to {answer.headers['Location']}"
        raise Unreachable(f"{self.address.url} failed ({answer.status_code}): {reason}")

    def _object(self, answer: httpx.Response) -> dict[str, Any]:
        content = self._json(answer)
        return content if isinstance(content, dict) else self._no_service()

    def _array(self, answer: httpx.Response) -> list[dict[str, Any]]:
        content = self._json(answer)
        return content if isinstance(content, list) else self._no_service()

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return self._checked(answer).json()
        except ValueError:
            return self._no_service()

    def _no_service(self) -> Any:
        raise Unreachable(
            f"what answers at {self.address.url} is not this service; check --url or "
            "OPTIMIZED_TSP_URL"
        )


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}

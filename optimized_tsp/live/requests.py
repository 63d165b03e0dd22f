"""What clients ask for under an `id`: submit, see and cancel jobs, see and empty the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import structlog
from pydantic import BaseModel

from optimized_tsp.core.errors import (
    InputProblem,
    InvalidInput,
    NotFound,
    ServiceError,
    ServiceUnavailable,
)
from optimized_tsp.core.outages import is_outage
from optimized_tsp.core.tasks import end_tasks
from optimized_tsp.jobs import commands
from optimized_tsp.jobs.idempotency import Replay
from optimized_tsp.jobs.queue import find_queue
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.schemas import JobView
from optimized_tsp.jobs.services import Services
from optimized_tsp.jobs.states import TERMINAL
from optimized_tsp.jobs.submission import Body, ParsedSubmission
from optimized_tsp.live.frames import error_frame, response_frame
from optimized_tsp.live.messages import (
    DeleteJob,
    DeleteQueue,
    GetJob,
    GetQueue,
    Request,
    SubmitJob,
)
from optimized_tsp.live.peer import Gone
from optimized_tsp.live.stream import Stream
from optimized_tsp.solvers.registry import AnySolver, find_solver

__all__ = ["MAX_IN_FLIGHT", "Requests", "in_body"]

logger = structlog.get_logger(__name__)

MAX_IN_FLIGHT = 16


class Requests:
    """Works on the requests of one client, `MAX_IN_FLIGHT` at a time.

    Args:
        services: what the REST calls work with, too.
        scope: the jobs this client may see at all.
        stream: where the events of its jobs go.
        send: sends a message; raises `Gone`.
    """

    def __init__(
        self,
        services: Services,
        scope: Scope,
        stream: Stream,
        send: Callable[[str], Awaitable[None]],
    ) -> None:
        self._services = services
        self._scope = scope
        self._stream = stream
        self._send = send
        self._room = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, request: Request, job: asyncio.Future[UUID] | None = None) -> None:
        """Begin to work on a request, when there is room; who waits for that reads no others.

        `job` is told which job was submitted after that was answered, or it is cancelled.
        """
        await self._room.acquire()
        task = asyncio.create_task(self._work(request, job))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def finish(self) -> None:
        """Wait for what was begun: a client that has left wanted it nevertheless."""
        try:
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            await end_tasks(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()

    async def _work(self, request: Request, job: asyncio.Future[UUID] | None) -> None:
        with suppress(Gone):
            try:
                try:
                    await self._answer(request, job)
                finally:
                    if job is not None:
                        job.cancel()  # if it was told of none
            except Gone:
                raise
            except Exception as error:  # noqa: BLE001 - all are told, those of ours are logged
                await self._send(error_frame(_told(error), request.id))

    async def _answer(self, request: Request, job: asyncio.Future[UUID] | None) -> None:
        if isinstance(request, SubmitJob):
            with self._stream.following(tours=request.tours) as follow:
                view = await self._submit(request, follow)
                await self._send(response_frame(request.id, view))
                if job is not None and not job.done():
                    job.set_result(view.task_id)
        else:
            await self._send(response_frame(request.id, await self._result(request)))

    async def _result(self, request: Request) -> BaseModel:
        match request:
            case GetJob():
                return await commands.view(self._services, self._scope, request.task_id)
            case GetQueue():
                database, places = self._services.database, self._services.places
                return await find_queue(database, places, self._scope, limit=request.limit)
            case DeleteJob():
                return await commands.cancel(self._services, self._scope, request.task_id)
            case DeleteQueue():
                return await commands.cancel_waiting(self._services, self._scope)
        raise TypeError(f"{request!r} is no request")

    async def _submit(self, request: SubmitJob, follow: Callable[[UUID], bool]) -> JobView:
        solver = self._solver(request)
        scope = Scope(self._scope.tenant_id, solver.name, solver.version)
        submission = await self._parse(solver, request.body)
        begun: list[UUID] = []

        def created(job_id: UUID) -> None:
            if follow(job_id):
                begun.append(job_id)

        view, is_new = await commands.submit(
            self._services,
            scope,
            submission,
            _replay(request, submission),
            created=created,
        )
        for job_id in begun:
            # The last event of an earlier job may have been long ago.
            if job_id != view.task_id or (not is_new and view.status in TERMINAL):
                self._stream.forget(job_id)
        return view

    def _solver(self, request: SubmitJob) -> AnySolver:
        given = (request.solver or self._scope.solver, request.version or self._scope.version)
        here = (self._scope.solver, self._scope.version)
        if None not in here and given != here:
            raise InvalidInput(
                "This is the feed of another solver.",
                [InputProblem("/solver", "other_solver", f"must be {here[0]} {here[1]} or absent")],
            )
        name, version = given
        if name is None or version is None:
            field = "/version" if name else "/solver"
            raise InvalidInput(
                "On the feed of all solvers a job names its solver.",
                [InputProblem(field, "missing", "must be given; GET /solvers lists them")],
            )
        solver = find_solver(name, version)
        if solver is None:
            raise NotFound(f"There is no solver {name} {version}; GET /solvers lists them.")
        return solver

    async def _parse(self, solver: AnySolver, body: bytes) -> ParsedSubmission:
        try:
            return await self._services.parser.parse(solver, Body(body))
        except InvalidInput as error:
            raise in_body(error) from None


def _replay(request: SubmitJob, submission: ParsedSubmission) -> Replay | None:
    if request.idempotency_key is None:
        return None
    return Replay(request.idempotency_key, submission.fingerprint(), "/idempotency_key")


def in_body(error: InvalidInput) -> InvalidInput:
    """The same error with pointers from the message a submission came in."""
    problems = [replace(p, pointer=f"/body{p.pointer}") for p in error.problems]
    return InvalidInput(error.detail, problems)


def _told(error: Exception) -> ServiceError:
    """What the client is told about an error."""
    if isinstance(error, ServiceError):
        return error
    if is_outage(error):
        logger.warning("database_unavailable", error=repr(error))
        return ServiceUnavailable("The database does not answer; try again a little later.")
    logger.error("live_request_failed", exc_info=error)
    return ServiceError("This is a defect of ours; it was logged.")

"""Parsing submissions without holding up other requests: large bodies go to another process.

Parsing holds Python's interpreter lock, so a thread does not help: an 18 MB body would stall every
other request and websocket of the process for seconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import structlog

from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import ServiceUnavailable
from optimized_tsp.jobs.submission import Body, ParsedSubmission, parse_submission
from optimized_tsp.solvers.registry import AnySolver, all_solvers

__all__ = ["SubmissionParser"]

logger = structlog.get_logger(__name__)

_ELSEWHERE_BYTES = 128 * 1024
_PROCESSES = 2
_PR_SET_PDEATHSIG = 1

_Job = tuple[str, str, Body, Settings, bool]
"""What `_parse` takes."""


class SubmissionParser:
    """Parses in this process what is small, in a helper process what is not."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: ProcessPoolExecutor | None = None

    async def parse(
        self, solver: AnySolver, body: Body, *, diagnose: bool = False
    ) -> ParsedSubmission:
        """As `parse_submission`; raises `InvalidInput`. A diagnosis may take a moment, so it is
        always made elsewhere."""
        if len(body.content) <= _ELSEWHERE_BYTES and not diagnose:
            return parse_submission(solver, body, self._settings)
        try:
            return await self._begin((solver.name, solver.version, body, self._settings, diagnose))
        except BrokenProcessPool:
            self._pool = None  # the next one starts anew
            raise ServiceUnavailable(
                "The process that reads large bodies died; nothing was stored. Try again."
            ) from None

    def _begin(self, job: _Job) -> asyncio.Future[ParsedSubmission]:
        """Hand the job to a pool, which is kept once it could begin."""
        pool = self._pool
        try:
            pool = pool or _make_pool()
            answer = asyncio.get_running_loop().run_in_executor(pool, _parse, *job)
        except BrokenProcessPool:
            raise
        except (OSError, RuntimeError) as error:  # no more memory, files, processes or threads
            if pool is not None and pool is not self._pool:
                _drop(pool)
            logger.warning("no_parser_process", error=repr(error))
            raise ServiceUnavailable(
                "The process that reads large bodies cannot be started now; nothing was stored. "
                "Try again."
            ) from error
        self._pool = pool
        return answer

    def close(self) -> None:
        """End the helper processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _make_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        _PROCESSES,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
        initargs=(os.getpid(),),
    )


def _drop(pool: ProcessPoolExecutor) -> None:
    """End a pool that could not begin: it may have a process, and no thread that would end it."""
    pool.shutdown(wait=False)
    for process in multiprocessing.active_children():  # we have no other pool
        process.kill()


def _parse(
    name: str,
    version: str,
    body: Body,
    settings: Settings,
    diagnose: bool,  # noqa: FBT001 - run_in_executor passes positions only
) -> ParsedSubmission:
    solver = all_solvers()[name, version]
    return parse_submission(solver, body, settings, diagnose=diagnose)


def _end_with_parent(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)

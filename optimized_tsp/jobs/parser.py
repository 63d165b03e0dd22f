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

from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import ServiceUnavailable
from optimized_tsp.jobs.submission import Body, ParsedSubmission, parse_submission
from optimized_tsp.solvers.registry import AnySolver, all_solvers

__all__ = ["SubmissionParser"]

_ELSEWHERE_BYTES = 128 * 1024
_PROCESSES = 2
_PR_SET_PDEATHSIG = 1


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
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                _PROCESSES,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_end_with_parent,
                initargs=(os.getpid(),),
            )
        job = (solver.name, solver.version, body, self._settings, diagnose)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _parse, *job)
        except BrokenProcessPool:
            self._pool = None  # the next one starts anew
            raise ServiceUnavailable(
                "The process that reads large bodies died; nothing was stored. Try again."
            ) from None

    def close(self) -> None:
        """End the helper processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


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

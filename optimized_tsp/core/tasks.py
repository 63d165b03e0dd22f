"""Beginning background tasks that work for many, and ending background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["begin_shared", "end_tasks"]

_AGAIN_S = 0.1

_ResultT = TypeVar("_ResultT")


def begin_shared(work: Coroutine[Any, Any, _ResultT]) -> asyncio.Task[_ResultT]:
    """A task that works for many requests, whoever of them happens to begin it.

    What it logs does not name that one's request, and its spans are of no trace.
    """
    return asyncio.create_task(work, context=Context())


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until every one has ended; their errors are left in them.

    Cancels again and again: a timeout inside a client library can swallow a cancellation
    (redis-py on Python 3.11 did), and the task would go on for ever.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)

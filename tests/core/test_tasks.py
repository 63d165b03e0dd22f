"""Background tasks end, also those that swallow a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from optimized_tsp.core.tasks import end_tasks


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def failing() -> None:
        raise ValueError("left in the task")

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
    await asyncio.sleep(0)  # both have begun

    async with asyncio.timeout(5):
        await end_tasks(tasks)

    assert tasks[0].cancelled()
    assert isinstance(tasks[1].exception(), ValueError)


async def test_nothing_to_end() -> None:
    await end_tasks([])

"""Background tasks are nobody's, and end, also those that swallow a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from structlog.contextvars import get_contextvars

from optimized_tsp.core.context import Origin, coming_from, current_origin
from optimized_tsp.core.tasks import begin_shared, end_tasks


async def test_work_for_many_is_not_done_in_the_name_of_who_began_it() -> None:
    async def shared() -> tuple[Origin, dict[str, object]]:
        return current_origin(), get_contextvars()

    with coming_from(Origin("a request", "its trace"), job="its job"):
        assert await begin_shared(shared()) == (Origin(), {})
        assert current_origin() == Origin("a request", "its trace")


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

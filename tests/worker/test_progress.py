"""How often progress is stored: the first at once, then at a bearable rate, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.solvers import process
from optimized_tsp.worker.progress import BOUND_EVERY_S, INCUMBENT_EVERY_S, ProgressWriter
from tests.crowding import crowding


class Stored:
    """A store that remembers what it was given and when."""

    def __init__(self) -> None:
        self.all: list[tuple[float, Progress]] = []
        self.changed = asyncio.Event()
        self.is_news = True

    async def __call__(self, progress: Progress) -> bool:
        self.all.append((asyncio.get_running_loop().time(), progress))
        self.changed.set()
        return self.is_news

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.all) < count:
                self.changed.clear()
                await self.changed.wait()

    @property
    def costs(self) -> list[int | None]:
        return [p.solution["cost"] if p.solution else None for _, p in self.all]


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
async def writer(stored: Stored) -> AsyncIterator[ProgressWriter]:
    writer = ProgressWriter(stored, used_s=10.0)
    running = asyncio.create_task(writer.run())
    yield writer
    writer.close()
    await asyncio.wait_for(running, 5)


def incumbent(cost: int, bound: int | None = None) -> process.Progress:
    return process.Progress({"cost": cost}, cost, bound, elapsed_s=0.5, improved=True)


def bound(value: int) -> process.Progress:
    return process.Progress({"cost": 99}, 99, value, elapsed_s=0.5, improved=False)


def assert_held_back(stored: Stored, every_s: float) -> None:
    """The second was stored so long after the first, or a little later."""
    (first, _), (second, _) = stored.all
    crowded = crowding(first)
    assert every_s - 0.01 * crowded <= second - first < every_s + 0.1 * crowded


async def test_the_first_incumbent_is_stored_at_once(
    writer: ProgressWriter, stored: Stored
) -> None:
    begun = asyncio.get_running_loop().time()
    writer.note(incumbent(9, bound=3))
    await stored.until(1)

    moment, progress = stored.all[0]
    assert moment - begun < INCUMBENT_EVERY_S / 2 * crowding(begun)
    assert progress == Progress({"cost": 9}, 3, elapsed_s=10.5)


async def test_later_ones_are_held_back_and_the_latest_is_stored_in_time(
    writer: ProgressWriter, stored: Stored
) -> None:
    writer.note(incumbent(9))
    await stored.until(1)
    for cost in (8, 7, 6):
        writer.note(incumbent(cost))
    await stored.until(2)

    assert stored.costs == [9, 6]
    assert_held_back(stored, INCUMBENT_EVERY_S)


async def test_the_rates_hold_whatever_comes(writer: ProgressWriter, stored: Stored) -> None:
    for step in range(120):
        writer.note(incumbent(1000 - step))
        await asyncio.sleep(0.005)
    writer.note(incumbent(1))
    await stored.until(len(stored.all) + 1)

    moments = [moment for moment, _ in stored.all]
    late_s = 0.01 * crowding(moments[0])  # of the store, after the writer has looked at its clock
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) >= INCUMBENT_EVERY_S - late_s
    assert stored.costs[-1] == 1


async def test_bounds_have_a_rate_of_their_own_and_bring_no_solution(
    writer: ProgressWriter, stored: Stored
) -> None:
    writer.note(bound(1))
    await stored.until(1)
    for value in (2, 3, 4):
        writer.note(bound(value))
    await stored.until(2)

    assert [p.lower_bound for _, p in stored.all] == [1, 4]
    assert stored.costs == [None, None]
    assert_held_back(stored, BOUND_EVERY_S)


async def test_an_incumbent_does_not_wait_behind_a_bound(
    writer: ProgressWriter, stored: Stored
) -> None:
    writer.note(bound(1))
    await stored.until(1)
    writer.note(bound(2))
    begun = asyncio.get_running_loop().time()
    writer.note(incumbent(9, bound=2))
    await stored.until(2)

    moment, progress = stored.all[1]
    assert moment - begun < BOUND_EVERY_S / 2 * crowding(begun)
    assert progress == Progress({"cost": 9}, 2, elapsed_s=10.5)


async def test_a_first_incumbent_that_comes_with_the_end_is_left_to_the_end(
    stored: Stored,
) -> None:
    writer = ProgressWriter(stored, used_s=10.0)
    running = asyncio.create_task(writer.run())
    writer.note(incumbent(9, bound=3))
    writer.close()
    await running

    assert stored.all == []
    assert writer.unstored_first() == Progress({"cost": 9}, 3, elapsed_s=10.5)


async def test_what_is_stored_or_held_back_is_not_left_to_the_end(stored: Stored) -> None:
    writer = ProgressWriter(stored, used_s=0)
    running = asyncio.create_task(writer.run())
    writer.note(incumbent(8))
    await stored.until(1)
    writer.note(incumbent(7))
    writer.close()
    await running

    assert stored.costs == [8]
    assert writer.unstored_first() is None


async def test_what_was_no_news_does_not_hold_back_what_is(
    writer: ProgressWriter, stored: Stored
) -> None:
    stored.is_news = False
    writer.note(incumbent(9))  # the start of a resumed job: stored long ago
    await stored.until(1)
    stored.is_news = True
    begun = asyncio.get_running_loop().time()
    writer.note(incumbent(8))
    await stored.until(2)

    assert stored.all[1][0] - begun < INCUMBENT_EVERY_S / 2 * crowding(begun)

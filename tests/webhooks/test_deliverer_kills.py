"""kill -9 of the deliverer, again and again: every event arrives, repeats carry the same id."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter, defaultdict
from multiprocessing.process import BaseProcess

import pytest

from optimized_tsp.webhooks.outbox import message_id
from tests.webhooks import deliverer_process
from tests.webhooks.conftest import Outbox, delivered
from tests.webhooks.receiver import Receiver, answer, receiver

ROUNDS = 20
KILLS_PER_ROUND = 5
ENDPOINTS = 20
OWED_PER_ROUND = 40


@pytest.mark.timeout(300)
async def test_a_hundred_kills_lose_nothing_and_repeats_are_recognised(
    outbox: Outbox, database_url: str
) -> None:
    random.seed(20261122)
    starter = multiprocessing.get_context("forkserver")
    starter.set_forkserver_preload([deliverer_process.__name__])  # a start costs milliseconds

    def start() -> BaseProcess:
        process = starter.Process(target=deliverer_process.main, args=[database_url], daemon=True)
        process.start()
        return process

    owed = []
    async with receiver(answer(after_s=0.02)) as stranger:
        endpoints = [await outbox.endpoint(stranger.url(path=f"/{n}")) for n in range(ENDPOINTS)]
        for _ in range(ROUNDS):
            for endpoint in random.choices(endpoints, k=OWED_PER_ROUND // 4):
                owed += await outbox.owe(endpoint, 4)
            processes = [await asyncio.to_thread(start) for _ in range(KILLS_PER_ROUND)]
            for process in processes:
                await _in_the_middle(stranger)
                process.kill()
            for process in processes:
                await asyncio.to_thread(process.join)
        last = await asyncio.to_thread(start)
        rows = await outbox.until(delivered, within_s=60)
        last.terminate()
        await asyncio.to_thread(last.join)

    received = Counter(stranger.ids)
    assert set(received) == {message_id(delivery_id) for delivery_id in owed}
    assert max(received.values()) > 1, "no kill came in the middle of an attempt"
    bodies = defaultdict(set)
    for request in stranger.received:
        bodies[request.id].add(request.body)
    assert all(len(same) == 1 for same in bodies.values())
    # Dying is no attempt: nothing came nearer to its end by it.
    assert {row.attempts for row in rows.values()} == {1}


async def _in_the_middle(stranger: Receiver) -> None:
    """Until another request has come, and a little longer."""
    before = len(stranger.received)
    await stranger.until(lambda stranger: len(stranger.received) > before)
    await asyncio.sleep(random.uniform(0, 0.04))

"""The doorbell: whatever is announced at once arrives, over few connections."""

from __future__ import annotations

from redis.asyncio import Redis

from optimized_tsp.core.ids import new_id
from optimized_tsp.events.bus import RING_KEY, RINGS_KEPT, Bus
from tests.events.test_listen import listening, next_heard


async def test_a_thousand_announcements_at_once_are_all_heard(bus: Bus, redis_url: str) -> None:
    jobs = [new_id() for _ in range(1000)]
    async with listening(bus) as heard, Redis.from_url(redis_url) as redis:
        assert await next_heard(heard) is None
        before = (await redis.info("stats"))["total_connections_received"]

        for job_id in jobs:
            bus.announce(job_id, ring=True)

        assert [await next_heard(heard) for _ in jobs] == jobs
        assert await redis.llen(RING_KEY) == RINGS_KEPT
        assert (await redis.info("stats"))["total_connections_received"] - before <= 1


async def test_every_ring_wakes_a_worker_of_its_own(bus: Bus, redis_url: str) -> None:
    for _ in range(3):
        bus.ring()
    await bus.close()

    async with Redis.from_url(redis_url) as redis:
        assert await redis.llen(RING_KEY) == 3

"""Nothing missed, nothing twice, in order - whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import event, text

from optimized_tsp.embedded.identity import free_port
from optimized_tsp.events.bus import Bus, Channel
from optimized_tsp.events.log import feed_range
from optimized_tsp.live import outbox
from optimized_tsp.live.feed import Feed
from tests.live.conftest import DEADLINE_S, Jobs, Server, StartServer, client_of, subscribed
from tests.live.test_origin import refused
from tests.promises import promised
from tests.stack import Servers, TestDatabase


async def test_an_event_committed_late_is_sent_late_and_resumed_to(
    server: Server, jobs: Jobs
) -> None:
    late, early = await jobs.submit(), await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        # Given a transaction that took its number first and stays open
        async with jobs.database.write() as open_transaction:
            await jobs.happen_in(open_transaction, late)
            await jobs.happen(early)
            assert (await client.event())["task_id"] == str(early)
            cursor = client.cursor
        # When it commits after a later one was read
        jobs.bus.announce(late)
        # Then it is sent, and one who resumes after the later one gets it too
        assert (await client.event())["task_id"] == str(late)
    async with client_of(server) as client:
        await client.subscribe(after=cursor)
        assert (await client.event())["task_id"] == str(late)


async def test_a_long_transaction_elsewhere_delays_nothing(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    async with jobs.database.write() as unrelated, client_of(server) as client:
        await unrelated.execute(text("SELECT pg_current_xact_id()"))
        await client.subscribe()
        await jobs.happen(job)
        assert await client.seqs(1) == [2]


async def test_a_killed_subscription_to_redis_is_made_again(
    server: Server, jobs: Jobs, redis_url: str
) -> None:
    job = await jobs.submit()
    async with client_of(server) as client, Redis.from_url(redis_url) as redis:
        await client.subscribe()
        assert await redis.client_kill_filter(_type="pubsub") == 1
        await jobs.happen(job)
        assert (await client.event())["seq"] == 2
        await until_subscribed(redis)
        await jobs.happen(job)
        assert (await client.event())["seq"] == 3


async def test_an_event_nobody_told_of_comes_within_five_seconds(
    server: Server, jobs: Jobs
) -> None:
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        # When the message of Redis is lost, while everything is connected
        with promised(5):
            async with jobs.database.write() as session:
                await jobs.happen_in(session, job)
            assert await client.seqs(1) == [2]


async def test_one_subscription_to_redis_whatever_the_number_of_clients(
    server: Server, jobs: Jobs, redis_url: str
) -> None:
    async with AsyncExitStack() as stack, Redis.from_url(redis_url) as redis:
        clients = await subscribed(stack, server, 20)
        await jobs.submit()
        await asyncio.gather(*(client.event() for client in clients))
        assert await subscriptions(redis) == 1


async def test_without_redis_events_come_a_little_later(
    start_server: StartServer, jobs: Jobs
) -> None:
    server = start_server(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        with promised(5):
            await jobs.happen(job, 3)
            assert await client.seqs(3) == [2, 3, 4]


async def test_a_cursor_outlives_the_api(start_server: StartServer, jobs: Jobs) -> None:
    server = start_server()
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe(after="0")
        assert await client.seqs(1) == [1]
        server.stop()
        assert (await client.closed())[0] == 1012
        cursor = client.cursor
    await jobs.happen(job, 3)
    again = start_server(port=server.port)
    async with client_of(again) as client:
        await client.subscribe(after=cursor)
        assert await client.seqs(3) == [2, 3, 4]
        await jobs.happen(job)
        assert await client.seqs(1) == [5]


async def test_a_cursor_of_another_api_that_is_ahead(start_server: StartServer, jobs: Jobs) -> None:
    # Given two APIs, one of which nobody has asked anything yet
    one, other = start_server(), start_server()
    job = await jobs.submit()
    async with client_of(one) as client, client_of(other) as first:
        await first.subscribe()
        await client.subscribe()
        await jobs.happen(job, 2)
        assert await client.seqs(2) == [2, 3]
        cursor = client.cursor
        # When a client goes from one to the other
        async with client_of(other) as moved:
            await moved.subscribe(after=cursor)
            await jobs.happen(job)
            assert await moved.seqs(1) == [4]
        assert await first.seqs(3) == [2, 3, 4]


async def test_clients_that_come_and_go_under_load_see_the_same_feed(
    start_server: StartServer, jobs: Jobs
) -> None:
    # Given jobs to which things happen all the time, in transactions that overlap
    servers = [start_server(), start_server()]
    rng = random.Random(7)
    job_ids = [await jobs.submit() for _ in range(6)]
    total = 6 * 60 + 6

    async def keep_happening(number: int) -> None:
        for _ in range(30):
            async with jobs.database.write() as session:
                await jobs.happen_in(session, job_ids[number], 2)
                await asyncio.sleep(rng.random() * 0.02)
            jobs.bus.announce(job_ids[number])

    async def follow() -> list[Any]:
        """Reads the whole feed, leaving and coming back to either API at random."""
        seen: list[Any] = []
        cursor = "0"
        while len(seen) < total:
            async with client_of(rng.choice(servers)) as client:
                await client.subscribe(after=cursor)
                for _ in range(min(rng.randint(1, 120), total - len(seen))):
                    event = await client.event()
                    seen.append((event["task_id"], event["seq"]))
                cursor = str(client.cursor)
        return seen

    # When several clients follow
    work = asyncio.gather(*map(keep_happening, range(6)))
    (first, second, third), _ = await asyncio.gather(
        asyncio.gather(follow(), follow(), follow()), work
    )
    # Then all have seen everything once, in one order, each job's events in order
    assert first == second == third
    assert len(set(first)) == total
    for job_id in job_ids:
        assert [seq for job, seq in first if job == str(job_id)] == list(range(1, 62))


async def test_a_burst_larger_than_the_queue_loses_nothing(
    server: Server, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a client that is not slow, and queues that hold little
    monkeypatch.setattr(outbox, "MAX_FRAMES", 50)
    job = await jobs.submit()
    async with client_of(server) as client:
        await client.subscribe()
        # When more happens at once than its queue holds
        await jobs.happen(job, 2000)
        # Then it gets all of it, and what comes after
        assert await client.seqs(2000) == list(range(2, 2002))
        await jobs.happen(job)
        assert await client.seqs(1) == [2002]


async def test_everything_that_was_kept_is_replayed(server: Server, jobs: Jobs) -> None:
    job = await jobs.submit()
    await jobs.happen(job, 3000)
    async with client_of(server) as client, client_of(server) as one_job:
        await client.subscribe(after="0")
        await one_job.subscribe(after="0", task_id=str(job))
        assert await client.seqs(3001) == list(range(1, 3002))
        assert await one_job.seqs(3001) == list(range(1, 3002))


async def test_a_database_that_does_not_answer(
    server: Server, jobs: Jobs, servers: Servers, database: TestDatabase
) -> None:
    job = await jobs.submit()
    async with client_of(server) as client, client_of(server) as other:
        await client.subscribe()
        # Given a database that ends all connections and refuses new ones
        refuse_connections(servers, database)
        # When a client wants to subscribe, it is told to come again
        await other.send(type="subscribe")
        assert (await other.receive())["error"]["code"] == "unavailable"
        assert await other.closed() == (1013, "resume from your cursor")
        # One who comes only now is told so before the handshake
        assert (await refused(server, "/live"))[0] == 503
        # Then those who are there get what happens once it answers again
        servers.run_sql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        await jobs.happen(job)
        assert await client.seqs(1) == [2]


async def subscriptions(redis: Redis) -> int:
    """How many connections listen to Redis for events."""
    ((_, number),) = await redis.pubsub_numsub(Channel.EVENTS.value)
    return int(number)


async def until_subscribed(redis: Redis) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await subscriptions(redis) != 1:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


def refuse_connections(servers: Servers, database: TestDatabase) -> None:
    """End all connections to the database and refuse new ones."""
    terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
    servers.run_sql(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
    servers.run_sql(f"{terminate}'{database.name}'")


async def test_a_thousand_who_come_at_once_share_a_few_looks_at_where_the_feed_is(
    jobs: Jobs, redis_url: str
) -> None:
    # Given a feed, and somebody whose look is under way
    feed, statements = Feed(jobs.database, Bus(redis_url)), Counter[str]()

    def count(_: object, __: object, statement: str, *___: object) -> None:
        statements[statement] += 1

    event.listen(jobs.database.engine.sync_engine, "before_cursor_execute", count)
    early = asyncio.create_task(feed.now())
    await asyncio.sleep(0)
    # When something is committed and a thousand others come
    await jobs.submit()
    statements.clear()
    late = await asyncio.gather(*(feed.now() for _ in range(1000)))
    # Then all of them know of it, for the price of one look or two
    async with jobs.database.read() as session:
        assert set(late) == {await feed_range(session)}
    assert (await early).head <= late[0].head
    assert max(statements.values()) <= 4

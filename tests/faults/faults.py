"""What can go wrong, each as one function on a cluster; a seed decides which victim and how long.

Every fault ends by itself: what it stopped runs again when the function returns.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psutil
from redis import Redis
from redis.exceptions import RedisError

from optimized_tsp.embedded.process import Process
from tests.faults.cluster import LEASE_S, Cluster

Fault = Callable[[Cluster, random.Random], Awaitable[None]]

CAN_CRASH_JOBS = frozenset(
    {
        "kill_solver_child",
        "kill_worker",
        "kill_worker_group",
        "freeze_worker",
        "restart_postgres",
        "stop_postgres",
        "swallow_postgres",
        "half_open_postgres",
    }
)
"""Faults after which a lease may run out, and so a crash be counted; two jobs run at once."""


async def kill_solver_child(cluster: Cluster, source: random.Random) -> None:
    """kill -9 of a process that solves, as the kernel does when memory runs out."""
    children = cluster.solver_children()
    if children:
        with suppress(psutil.NoSuchProcess):
            source.choice(children).kill()


async def kill_worker(cluster: Cluster, source: random.Random) -> None:
    """kill -9 of a worker alone; what it started must end by itself."""
    worker = source.choice(cluster.workers)
    _kill(worker)
    await cluster.restart(worker)


async def kill_worker_group(cluster: Cluster, source: random.Random) -> None:
    """kill -9 of a worker with everything below it, as a container is killed."""
    worker = source.choice(cluster.workers)
    with suppress(psutil.NoSuchProcess):
        for process in [
            *psutil.Process(worker.pid).children(recursive=True),
            psutil.Process(worker.pid),
        ]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    await cluster.restart(worker)


async def kill_api(cluster: Cluster, source: random.Random) -> None:
    """kill -9 of an API, with requests and feeds in the middle."""
    api = source.choice(cluster.apis)
    _kill(api)
    await cluster.restart(api)


async def freeze_worker(cluster: Cluster, source: random.Random) -> None:
    """A worker stands still for two leases and goes on: its writes are stale by then."""
    worker = source.choice(cluster.workers)
    worker.send(signal.SIGSTOP)
    await asyncio.sleep(2 * LEASE_S)
    worker.send(signal.SIGCONT)


async def replace_worker(cluster: Cluster, source: random.Random) -> None:
    """SIGTERM under load and a new one, as a rolling deploy does: no attempt is lost."""
    worker = source.choice(cluster.workers)
    worker.ask_to_stop()
    async with asyncio.timeout(20):
        while worker.is_running():  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(0.02)
    await cluster.restart(worker)


async def flush_redis(cluster: Cluster, _: random.Random) -> None:
    """Every ring and queue is forgotten."""
    with suppress(RedisError), Redis.from_url(cluster.servers.identity.redis_url) as redis:
        redis.flushall()


async def restart_redis(cluster: Cluster, source: random.Random) -> None:
    """Redis dies and is back a moment later, empty."""
    cluster.valkey.kill()
    await asyncio.sleep(source.uniform(0, 2))
    await cluster.restart(cluster.valkey)


async def kill_subscriptions(cluster: Cluster, _: random.Random) -> None:
    """The pub/sub connections are cut under live websockets."""
    with suppress(RedisError), Redis.from_url(cluster.servers.identity.redis_url) as redis:
        redis.client_kill_filter(_type="pubsub")


async def reset_redis(cluster: Cluster, _: random.Random) -> None:
    """All connections to Redis are reset."""
    cluster.redis_proxy.reset_all()


async def swallow_redis(cluster: Cluster, source: random.Random) -> None:
    """Redis hears and says nothing for a while; connections stay."""
    cluster.redis_proxy.swallow(on=True)
    await asyncio.sleep(source.uniform(0.5, 3))
    cluster.redis_proxy.swallow(on=False)


async def half_open_redis(cluster: Cluster, _: random.Random) -> None:
    """Redis is gone behind connections that look alive."""
    cluster.redis_proxy.half_open()


async def restart_postgres(cluster: Cluster, _: random.Random) -> None:
    """Postgres restarts at once, as after `pg_ctl restart -m immediate`: it has to recover."""
    cluster.postgres.kill()
    await cluster.restart(cluster.postgres)


async def stop_postgres(cluster: Cluster, source: random.Random) -> None:
    """Postgres is away for longer than requests wait."""
    cluster.postgres.kill()
    await asyncio.sleep(source.uniform(1, 5))
    await cluster.restart(cluster.postgres)


async def reset_postgres(cluster: Cluster, _: random.Random) -> None:
    """All connections to Postgres are reset, whatever they are in the middle of."""
    cluster.postgres_proxy.reset_all()


async def reset_before_commit(cluster: Cluster, _: random.Random) -> None:
    """A connection is lost on the way to COMMIT: nothing happened."""
    cluster.postgres_proxy.reset_next_commit("before")


async def reset_after_commit(cluster: Cluster, _: random.Random) -> None:
    """A connection is lost on the way back from COMMIT: it happened, and nobody was told."""
    cluster.postgres_proxy.reset_next_commit("after")


async def swallow_postgres(cluster: Cluster, source: random.Random) -> None:
    """Postgres hears and says nothing for a while; connections stay."""
    cluster.postgres_proxy.swallow(on=True)
    await asyncio.sleep(source.uniform(0.5, 3))
    cluster.postgres_proxy.swallow(on=False)


async def slow_postgres(cluster: Cluster, source: random.Random) -> None:
    """Every word to and from Postgres takes 50 ms."""
    cluster.postgres_proxy.latency_s = 0.05
    await asyncio.sleep(source.uniform(0.5, 2))
    cluster.postgres_proxy.latency_s = 0.0


async def drip_redis(cluster: Cluster, source: random.Random) -> None:
    """Redis' words come 200 bytes at a time."""
    cluster.redis_proxy.drip_bytes = 200
    await asyncio.sleep(source.uniform(0.5, 2))
    cluster.redis_proxy.drip_bytes = 0


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_solver_child,
        kill_worker,
        kill_worker_group,
        kill_api,
        freeze_worker,
        replace_worker,
        flush_redis,
        restart_redis,
        kill_subscriptions,
        reset_redis,
        swallow_redis,
        half_open_redis,
        restart_postgres,
        stop_postgres,
        reset_postgres,
        reset_before_commit,
        reset_after_commit,
        swallow_postgres,
        slow_postgres,
        drip_redis,
    )
}

KINDS: dict[str, tuple[str, ...]] = {
    "solver": ("kill_solver_child",),
    "worker": ("kill_worker", "kill_worker_group", "freeze_worker", "replace_worker"),
    "api": ("kill_api",),
    "redis": (
        "flush_redis",
        "restart_redis",
        "kill_subscriptions",
        "reset_redis",
        "swallow_redis",
        "half_open_redis",
        "drip_redis",
    ),
    "postgres": ("restart_postgres", "stop_postgres"),
    "network": (
        "reset_postgres",
        "reset_before_commit",
        "reset_after_commit",
        "swallow_postgres",
        "slow_postgres",
    ),
}
"""The main kinds; a mix takes them in turn, so that each gets its share."""


def _kill(process: Process) -> None:
    with suppress(psutil.NoSuchProcess):
        psutil.Process(process.pid).kill()

"""What can go wrong, each as one function on a cluster; a seed decides which victim and how long.

Every fault ends by itself: what it stopped runs again when the function returns. It returns whether
anything was hit: a kill without a victim is no fault, and is not counted as one.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
from redis import Redis
from redis.exceptions import RedisError

from optimized_tsp.embedded.process import Process
from optimized_tsp.events.bus import RING_KEY, ring_message
from tests.faults.cluster import LEASE_S, READY_S, Cluster
from tests.stack import is_gone

_VICTIM_WITHIN_S = 10.0
_LONG_OUTAGES = 0.25
"""So many of the outages last longer than a lease."""

Fault = Callable[[Cluster, random.Random], Awaitable[bool]]

RUNNING_AT_ONCE = 2
"""Workers of a cluster: so many jobs a fault can crash."""

CAN_CRASH_JOBS = frozenset(
    {
        "kill_solver_child",
        "kill_worker",
        "kill_worker_group",
        "freeze_worker",
        "restart_postgres",
        "stop_postgres",
        "fill_disk",
        "swallow_postgres",
    }
)
"""Faults after which a lease may run out, and so a crash be counted."""


async def kill_solver_child(cluster: Cluster, source: random.Random) -> bool:
    """kill -9 of a process that solves, as the kernel does when memory runs out."""
    victim = None
    with suppress(TimeoutError):
        async with asyncio.timeout(_VICTIM_WITHIN_S):
            while victim is None:
                with suppress(psutil.NoSuchProcess, IndexError):
                    chosen = source.choice(cluster.solver_children())
                    chosen.kill()
                    victim = chosen
                await asyncio.sleep(0.02)
    # It dies when it is its turn to run; on a crowded machine a job may begin on it before that.
    while victim is not None and not is_gone(victim):  # noqa: ASYNC110 - another's child
        await asyncio.sleep(0.005)
    return victim is not None


async def kill_worker(cluster: Cluster, source: random.Random) -> bool:
    """kill -9 of a worker alone; what it started must end by itself."""
    worker = source.choice(cluster.workers)
    hit = await _kill(worker)
    await cluster.restart(worker)
    return hit


async def kill_worker_group(cluster: Cluster, source: random.Random) -> bool:
    """kill -9 of a worker with everything below it, as a container is killed."""
    worker = source.choice(cluster.workers)
    children = []
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(worker.pid).children(recursive=True)
    for process in children:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    hit = await _kill(worker)
    await cluster.restart(worker)
    return hit


async def kill_api(cluster: Cluster, source: random.Random, *, victim: int | None = None) -> bool:
    """kill -9 of an API, with requests and feeds in the middle."""
    api = source.choice(cluster.apis) if victim is None else cluster.apis[victim]
    hit = await _kill(api)
    await cluster.restart(api)
    return hit


async def kill_api_after_commit(cluster: Cluster, _: random.Random) -> bool:
    """kill -9 of an API that has committed a job and has told nobody of it yet."""
    cluster.failpoint.touch()
    with suppress(TimeoutError):
        async with asyncio.timeout(_VICTIM_WITHIN_S):
            while cluster.failpoint.exists():  # noqa: ASYNC110 - another process takes it away
                await asyncio.sleep(0.01)
    try:
        cluster.failpoint.unlink()
    except FileNotFoundError:
        for api in cluster.apis:
            await cluster.restart(api)
        return True
    return False


async def freeze_worker(cluster: Cluster, source: random.Random) -> bool:
    """A worker stands still for two leases and goes on: its writes are stale by then."""
    worker = source.choice(cluster.workers)
    worker.send(signal.SIGSTOP)
    await asyncio.sleep(2 * LEASE_S)
    worker.send(signal.SIGCONT)
    return True


async def replace_worker(cluster: Cluster, source: random.Random) -> bool:
    """SIGTERM under load and a new one, as a rolling deploy does: no attempt is lost."""
    await cluster.replace(source.choice(cluster.workers))
    return True


async def set_clock_ahead(cluster: Cluster, source: random.Random) -> bool:
    """A worker is replaced by one whose clock is ten minutes fast, which stays for a while."""
    return await _replace_by_unlike(cluster, source, cluster.clock_ahead(600))


async def forget_version(cluster: Cluster, source: random.Random) -> bool:
    """A worker is replaced by one that knows one of two versions of a solver, for a while."""
    return await _replace_by_unlike(cluster, source, cluster.one_version())


async def replace_api(cluster: Cluster, _: random.Random) -> bool:
    """SIGTERM under load of the API with most websockets, and a new one, as a rolling deploy does:
    what it has begun it answers."""
    open_feeds, number = max((cluster.feeds[port], n) for n, port in enumerate(cluster.ports))
    await cluster.replace(cluster.apis[number])
    return open_feeds > 0


async def flush_redis(cluster: Cluster, _: random.Random) -> bool:
    """Every ring and queue is forgotten."""
    with suppress(RedisError), Redis.from_url(cluster.servers.identity.redis_url) as redis:
        redis.flushall()
        return True
    return False


async def repeat_ring(cluster: Cluster, _: random.Random) -> bool:
    """The same ring ten times."""
    with suppress(RedisError), Redis.from_url(cluster.servers.identity.redis_url) as redis:
        redis.lpush(RING_KEY, *[ring_message()] * 10)
        return True
    return False


async def restart_redis(cluster: Cluster, source: random.Random) -> bool:
    """Redis dies and is back a moment later, or after more than a lease, empty."""
    cluster.valkey.kill()
    await asyncio.sleep(_outage_s(source, 0, 2))
    await cluster.restart(cluster.valkey)
    return True


async def kill_subscriptions(cluster: Cluster, _: random.Random) -> bool:
    """The pub/sub connections are cut under live websockets."""
    with suppress(RedisError), Redis.from_url(cluster.servers.identity.redis_url) as redis:
        return int(redis.client_kill_filter(_type="pubsub")) > 0  # type: ignore[arg-type, unused-ignore]
    return False


async def reset_redis(cluster: Cluster, _: random.Random) -> bool:
    """All connections to Redis are reset."""
    return cluster.redis_proxy.reset_all() > 0


async def swallow_redis(cluster: Cluster, source: random.Random) -> bool:
    """Redis hears and says nothing for a while; connections stay."""
    cluster.redis_proxy.swallow(on=True)
    await asyncio.sleep(source.uniform(0.5, 3))
    cluster.redis_proxy.swallow(on=False)
    return True


async def half_open_redis(cluster: Cluster, _: random.Random) -> bool:
    """Redis is gone behind connections that look alive."""
    return cluster.redis_proxy.half_open() > 0


async def restart_postgres(cluster: Cluster, _: random.Random) -> bool:
    """Postgres restarts at once, as after `pg_ctl restart -m immediate`: it has to recover."""
    cluster.postgres.kill()
    await cluster.restart(cluster.postgres)
    return True


async def stop_postgres(cluster: Cluster, source: random.Random) -> bool:
    """Postgres is away for longer than requests wait, now and then for longer than a lease."""
    cluster.postgres.kill()
    await asyncio.sleep(_outage_s(source, 1, 5))
    await cluster.restart(cluster.postgres)
    return True


async def fill_disk(cluster: Cluster, source: random.Random) -> bool:
    """The disk under Postgres is full, for up to two seconds from the first write it refuses."""
    disk = cluster.disk
    disk.fill()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_VICTIM_WITHIN_S):
                while not disk.refused:  # noqa: ASYNC110 - another process writes to it
                    await asyncio.sleep(0.01)
        await asyncio.sleep(source.uniform(0.2, 2))
        hit = disk.refused > 0
    finally:
        disk.make_room()
    await cluster.restart(cluster.postgres)  # without room for its log it ends itself
    return hit


async def reset_postgres(cluster: Cluster, _: random.Random) -> bool:
    """All connections to Postgres are reset, whatever they are in the middle of."""
    return cluster.postgres_proxy.reset_all() > 0


async def reset_before_commit(cluster: Cluster, source: random.Random) -> bool:
    """A connection is lost on the way to COMMIT: nothing happened."""
    return await _cut_commit(cluster, source, "before")


async def reset_after_commit(cluster: Cluster, source: random.Random) -> bool:
    """A connection is lost on the way back from COMMIT: it happened, and nobody was told."""
    return await _cut_commit(cluster, source, "after")


async def swallow_postgres(cluster: Cluster, source: random.Random) -> bool:
    """Postgres hears and says nothing for a while; connections stay."""
    cluster.postgres_proxy.swallow(on=True)
    await asyncio.sleep(source.uniform(0.5, 3))
    cluster.postgres_proxy.swallow(on=False)
    return True


async def half_open_postgres(cluster: Cluster, _: random.Random) -> bool:
    """Postgres is gone behind connections that look alive."""
    return cluster.postgres_proxy.half_open() > 0


async def slow_postgres(cluster: Cluster, source: random.Random) -> bool:
    """Every word to and from Postgres takes 50 ms."""
    cluster.postgres_proxy.latency_s = 0.05
    await asyncio.sleep(source.uniform(0.5, 2))
    cluster.postgres_proxy.latency_s = 0.0
    return True


async def drip_redis(cluster: Cluster, source: random.Random) -> bool:
    """Redis' words come 200 bytes at a time."""
    cluster.redis_proxy.drip_bytes = 200
    await asyncio.sleep(source.uniform(0.5, 2))
    cluster.redis_proxy.drip_bytes = 0
    return True


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_solver_child,
        kill_worker,
        kill_worker_group,
        kill_api,
        kill_api_after_commit,
        freeze_worker,
        replace_worker,
        set_clock_ahead,
        forget_version,
        replace_api,
        flush_redis,
        repeat_ring,
        restart_redis,
        kill_subscriptions,
        reset_redis,
        swallow_redis,
        half_open_redis,
        restart_postgres,
        stop_postgres,
        fill_disk,
        reset_postgres,
        reset_before_commit,
        reset_after_commit,
        swallow_postgres,
        half_open_postgres,
        slow_postgres,
        drip_redis,
    )
}

KINDS: dict[str, tuple[str, ...]] = {
    "solver": ("kill_solver_child",),
    "worker": (
        "kill_worker",
        "kill_worker_group",
        "freeze_worker",
        "replace_worker",
        "set_clock_ahead",
        "forget_version",
    ),
    "api": ("kill_api", "kill_api_after_commit", "replace_api"),
    "redis": (
        "flush_redis",
        "repeat_ring",
        "restart_redis",
        "kill_subscriptions",
        "reset_redis",
        "swallow_redis",
        "half_open_redis",
        "drip_redis",
    ),
    "postgres": ("restart_postgres", "stop_postgres", "fill_disk"),
    "network": (
        "reset_postgres",
        "reset_before_commit",
        "reset_after_commit",
        "swallow_postgres",
        "half_open_postgres",
        "slow_postgres",
    ),
}
"""The main kinds; a mix takes them in turn, so that each gets its share."""


@dataclass(frozen=True)
class Injection:
    """A fault that hit something, and from when to when it lasted."""

    name: str
    begin: datetime
    end: datetime


async def inject(name: str, cluster: Cluster, source: random.Random) -> Injection | None:
    """Let a fault happen; None when there was nothing that it could have hit."""
    begin = datetime.now(UTC)
    hit = await FAULTS[name](cluster, source)
    return Injection(name, begin, datetime.now(UTC)) if hit else None


def _outage_s(source: random.Random, least: float, most: float) -> float:
    """How long a server stays away: mostly between these, now and then for one to two leases."""
    if source.random() < _LONG_OUTAGES:
        return source.uniform(1, 2) * LEASE_S
    return source.uniform(least, most)


async def _cut_commit(cluster: Cluster, source: random.Random, moment: str) -> bool:
    """Cut a COMMIT of an API or of a worker, whichever the seed says; wait until it happened."""
    proxy, application = cluster.postgres_proxy, source.choice(("tsp api", "tsp worker"))
    before = proxy.commits_reset[application, moment]
    proxy.reset_next_commit(moment, of=application)
    with suppress(TimeoutError):
        async with asyncio.timeout(_VICTIM_WITHIN_S):
            while proxy.commits_reset[application, moment] == before:  # noqa: ASYNC110 - a thread's
                await asyncio.sleep(0.01)
    proxy.reset_next_commit("")
    return proxy.commits_reset[application, moment] > before


async def _replace_by_unlike(
    cluster: Cluster, source: random.Random, unlike: Mapping[str, str]
) -> bool:
    """Only one worker is unlike the others at a time; it was hit when the new one can work."""
    strange = [worker for worker in cluster.workers if not cluster.is_usual(worker)]
    worker = source.choice(strange or cluster.workers)
    await cluster.replace(worker, unlike)
    async with asyncio.timeout(READY_S):
        while not cluster.solver_children(worker):  # noqa: ASYNC110 - another's children
            await asyncio.sleep(0.1)
    return True


async def _kill(process: Process) -> bool:
    """kill -9, and until it is dead: on a crowded machine it looks alive for a while."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(process.pid).kill()
        while process.is_running():  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(0.005)
        return True
    return False

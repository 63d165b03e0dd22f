"""What is forgotten of old jobs, in bounded steps; the facts about them stay for reporting.

Jobs, the costs, bounds and times of solutions, and the curves of incumbents are never removed.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ARRAY, LargeBinary, Uuid, bindparam, text

from optimized_tsp.core.database import WriteSession

__all__ = [
    "prune_endpoints",
    "prune_instances",
    "prune_logs",
    "prune_solutions",
]

# Of each job its first lines, so that what is left of a log never has a hole. Found job by job: in
# the order of age, every step would sort all that is old.
_PRUNE_LOGS = text(
    """
    WITH of_jobs AS MATERIALIZED (
        SELECT DISTINCT job_id FROM (
            SELECT job_id FROM job_logs WHERE at < now() - CAST(:keep AS interval) LIMIT :limit
        ) AS found
    )
    DELETE FROM job_logs WHERE ctid = ANY (ARRAY(
        SELECT first_lines.ctid FROM of_jobs, LATERAL (
            SELECT ctid FROM job_logs
            WHERE job_id = of_jobs.job_id AND at < now() - CAST(:keep AS interval)
            ORDER BY line LIMIT :limit
        ) AS first_lines LIMIT :limit
    ))
    RETURNING line
    """
)
# A solution is final when its job has ended, and is not changed after that.
_PRUNE_SOLUTIONS = text(
    """
    UPDATE solutions SET node_order = NULL, payload = NULL, pruned_at = now()
    WHERE job_id IN (
        SELECT job_id FROM solutions
        WHERE final AND pruned_at IS NULL AND updated_at < now() - CAST(:keep AS interval)
        ORDER BY updated_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING job_id
    """
)
_UNUSED_INSTANCE = """
    payload IS NOT NULL AND created_at < now() - CAST(:keep AS interval)
    AND NOT EXISTS (
        SELECT FROM jobs WHERE instance_digest = digest AND (
            completed_at IS NULL OR completed_at >= now() - CAST(:keep AS interval)))
"""
# FOR UPDATE keeps out submissions of the same instance: they hold it FOR KEY SHARE from the moment
# they have seen that its payload is there (jobs.storing). Two statements: one that was stored after
# the first began, and before it locked the instance, is seen by the second.
_LOCK_UNUSED_INSTANCES = text(
    f"""
    SELECT digest FROM instances WHERE {_UNUSED_INSTANCE}
    ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
    """  # noqa: S608 - constants of ours
)
_PRUNE_INSTANCES = text(
    f"""
    UPDATE instances SET payload = NULL WHERE digest = ANY (:locked) AND {_UNUSED_INSTANCE}
    RETURNING size
    """  # noqa: S608 - constants of ours
).bindparams(bindparam("locked", type_=ARRAY(LargeBinary())))
# Each waiting or running job is found by an index.
_UNUSED_ENDPOINT = """
    NOT EXISTS (SELECT FROM webhook_deliveries WHERE endpoint_id = e.id)
    AND NOT EXISTS (SELECT FROM (
        SELECT webhook_endpoint_id FROM jobs WHERE status = 'Submitted'
        UNION ALL SELECT webhook_endpoint_id FROM jobs WHERE status = 'Running'
    ) AS live WHERE live.webhook_endpoint_id = e.id)
"""
# Two statements: the second sees what came while the first waited for nobody. From then on the lock
# keeps out deliveries (their foreign key) and submissions (webhooks.repository.endpoint_of_url).
_LOCK_UNUSED_ENDPOINTS = text(
    f"""
    SELECT e.id FROM webhook_endpoints AS e
    WHERE (NOT e.listed OR e.deleted_at IS NOT NULL)
      AND e.created_at < now() - CAST(:keep AS interval) AND {_UNUSED_ENDPOINT}
    LIMIT :limit FOR UPDATE OF e SKIP LOCKED
    """  # noqa: S608 - constants of ours
)
_PRUNE_ENDPOINTS = text(
    f"""
    DELETE FROM webhook_endpoints AS e WHERE e.id = ANY (:locked) AND {_UNUSED_ENDPOINT}
    RETURNING e.id
    """  # noqa: S608 - constants of ours
).bindparams(bindparam("locked", type_=ARRAY(Uuid())))


async def prune_logs(session: WriteSession, *, keep: timedelta, limit: int) -> int:
    """Remove lines of jobs' logs that are older than `keep`; returns how many."""
    removed = await session.execute(_PRUNE_LOGS, {"keep": keep, "limit": limit})
    return len(removed.all())


async def prune_solutions(session: WriteSession, *, keep: timedelta, limit: int) -> int:
    """Remove the tours (or other payload) of jobs that ended longer ago than `keep`."""
    pruned = await session.execute(_PRUNE_SOLUTIONS, {"keep": keep, "limit": limit})
    return len(pruned.all())


async def prune_instances(session: WriteSession, *, keep: timedelta, limit: int) -> int:
    """Remove the payload of instances all of whose jobs ended longer ago than `keep`."""
    locked = await session.scalars(_LOCK_UNUSED_INSTANCES, {"keep": keep, "limit": limit})
    pruned = await session.execute(_PRUNE_INSTANCES, {"keep": keep, "locked": locked.all()})
    return len(pruned.all())


async def prune_endpoints(session: WriteSession, *, keep: timedelta, limit: int) -> int:
    """Forget deleted webhook endpoints, and those of `webhook_url`s, that nothing refers to.

    That is: made longer ago than `keep`, without deliveries, and no job under way names them. Here,
    as webhooks know nothing of jobs.
    """
    locked = await session.scalars(_LOCK_UNUSED_ENDPOINTS, {"keep": keep, "limit": limit})
    removed = await session.execute(_PRUNE_ENDPOINTS, {"locked": locked.all()})
    return len(removed.all())

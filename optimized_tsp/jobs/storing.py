"""Storing new jobs: everything that belongs to them is one statement, however many they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from optimized_tsp.core.context import Origin, current_origin
from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.errors import ServiceError
from optimized_tsp.core.ids import new_id
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.idempotency import TAKE_KEYS, Replay, refusal
from optimized_tsp.jobs.places import COUNTED_FROM, Places
from optimized_tsp.jobs.submission import ParsedSubmission
from optimized_tsp.jobs.transitions import traced
from optimized_tsp.webhooks.outbox import appending
from optimized_tsp.webhooks.repository import endpoint_of_url

__all__ = ["NewJob", "Stored", "store_job", "store_jobs"]

_SUBMITTED = f"""
    SELECT id AS job_id, 1 AS seq, '{EventType.SUBMITTED.value}' AS type, tenant_id, solver,
           version, tags, data, webhook_endpoint_id AS endpoint_id
    FROM fresh
"""  # noqa: S608 - constants of ours

# Retention takes payloads away (jobs.retention). Instances that are known already are held, so that
# it cannot until the job is there to be seen; those it has been at get their payload back. Keys,
# instances and those pruned are locked in one order everywhere, so that transactions with the same
# ones do not deadlock. Only a key's earlier job is looked up, by its id (OFFSET 0): a plan that was
# made while the table was small would read all of it for each batch.
_STORE = text(
    f"""
    WITH new AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(:jobs) AS new (
            id uuid, tenant_id uuid, solver text, version text, name text, tags jsonb,
            warnings jsonb, parameters jsonb, timeout_s double precision, digest text, data jsonb,
            webhook_endpoint_id uuid, request_id text, traceparent text, key text, body_hash text)
    ), keyed AS ({TAKE_KEYS}
    ), asked AS (
        SELECT new.*, coalesce(keyed.job_id, new.id) AS job_id, keyed.body_hash AS kept_hash
        FROM new LEFT JOIN keyed USING (tenant_id, solver, version, key)
    ), fresh AS (
        SELECT * FROM asked WHERE job_id = id
    ), instance AS (
        SELECT * FROM unnest(
            CAST(:digests AS bytea[]), CAST(:solvers AS text[]), CAST(:nodes AS integer[]),
            CAST(:edges AS bigint[]), CAST(:payloads AS bytea[]))
        AS given (digest, solver, nodes, edges, payload)
        WHERE digest IN (SELECT decode(fresh.digest, 'hex') FROM fresh)
    ), inserted AS (
        INSERT INTO instances (digest, solver, num_nodes, num_edges, size, payload)
        SELECT digest, solver, nodes, edges, length(payload), payload FROM instance ORDER BY digest
        ON CONFLICT DO NOTHING
    ), held AS (
        SELECT digest, instances.payload IS NULL AS pruned
        FROM instances WHERE digest IN (SELECT digest FROM instance)
        FOR KEY SHARE
    ), pruned AS (
        SELECT digest FROM instances WHERE digest IN (SELECT digest FROM held WHERE pruned)
        ORDER BY digest FOR NO KEY UPDATE
    ), restored AS (
        UPDATE instances SET payload = instance.payload
        FROM pruned JOIN instance USING (digest) WHERE instances.digest = pruned.digest
    ), stored AS (
        INSERT INTO jobs (id, tenant_id, solver, version, status, name, tags, warnings, parameters,
                          timeout_s, instance_digest, last_seq, webhook_endpoint_id, request_id,
                          traceparent)
        SELECT id, tenant_id, solver, version, 'Submitted', name, tags, warnings, parameters,
               timeout_s, decode(digest, 'hex'), 1, webhook_endpoint_id, request_id, traceparent
        FROM fresh
    ), {COUNTED_FROM}, ahead AS (
        SELECT count(*) AS waiting FROM jobs
        WHERE status = 'Submitted' AND id > (SELECT counted_from FROM counted)
            AND id < (SELECT id FROM fresh ORDER BY id LIMIT 1)
    ), {appending(_SUBMITTED)}
    SELECT asked.id, asked.job_id, kept_hash, now() AS submitted_at,
           asked.job_id <> asked.id AND EXISTS (
               SELECT FROM jobs WHERE jobs.id = asked.job_id AND deleted_at IS NOT NULL OFFSET 0
           ) AS removed, counted.counted_from, ahead.waiting
    FROM asked, counted, ahead
    """  # noqa: S608 - constants of ours
).bindparams(bindparam("jobs", type_=JSONB()))


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be stored, unless `replay` says that it was before."""

    tenant_id: UUID
    submission: ParsedSubmission
    webhook_endpoint_id: UUID | None = None
    replay: Replay | None = None
    id: UUID = field(default_factory=new_id)
    origin: Origin = field(default_factory=current_origin)

    def row(self) -> dict[str, Any]:
        """Its columns, the data of its first event and its key, as JSON has them."""
        submission, endpoint, key = self.submission, self.webhook_endpoint_id, self.replay
        data = {
            "name": submission.name,
            "num_nodes": submission.size.num_nodes,
            "timeout": submission.timeout_s,
        }
        return {
            "id": str(self.id),
            "tenant_id": str(self.tenant_id),
            "solver": submission.solver,
            "version": submission.version,
            "name": submission.name,
            "tags": submission.tags,
            "warnings": [asdict(notice) for notice in submission.notices],
            "parameters": submission.parameters,
            "timeout_s": submission.timeout_s,
            "digest": submission.digest.hex(),
            "data": traced(data, self.origin.traceparent),
            "webhook_endpoint_id": None if endpoint is None else str(endpoint),
            "request_id": self.origin.request_id,
            "traceparent": self.origin.traceparent,
            "key": None if key is None else key.key,
            "body_hash": None if key is None else key.body_hash.hex(),
        }


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a `NewJob`: the job it is now, or the one that its key had made before.

    `submitted_at` and `queue_position` are those of a new job; None where no place was asked for.
    """

    job: NewJob
    job_id: UUID
    submitted_at: datetime
    queue_position: int | None

    @property
    def is_new(self) -> bool:
        return self.job_id == self.job.id


async def store_job(session: WriteSession, job: NewJob) -> Stored:
    """Store one job, and the endpoint of its `webhook_url` if it has one.

    Raises `InvalidInput` or `StateConflict` when its key stands for something else.
    """
    url = job.submission.webhook_url
    if url is not None:
        endpoint_id = await endpoint_of_url(session, job.tenant_id, url)
        job = replace(job, webhook_endpoint_id=endpoint_id)
    parameters = _parameters([job]) | {"mark": None, "every": 1}
    (row,) = await session.execute(_STORE, parameters)
    result = _result(job, row, None)
    if isinstance(result, ServiceError):
        raise result
    return result


async def store_jobs(
    database: Database, places: Places, jobs: Sequence[NewJob]
) -> list[Stored | ServiceError]:
    """Store jobs in a transaction of their own; returns what each is answered, in order.

    Those with one key are one job, the first one's.
    """
    mark = places.before(min(job.id for job in jobs))
    parameters = _parameters(jobs) | {"mark": mark.job_id, "every": places.every}
    rows = await database.alone(_STORE, parameters)
    found = {row.id: row for row in rows}
    ahead = places.place(mark, rows[0])
    fresh = sorted(row.id for row in rows if row.id == row.job_id)
    numbers = {job_id: ahead + number for number, job_id in enumerate(fresh, start=1)}
    return [_result(job, found[job.id], numbers.get(job.id)) for job in jobs]


def _parameters(jobs: Sequence[NewJob]) -> dict[str, Any]:
    instances = list({job.submission.digest: job.submission for job in jobs}.values())
    return {
        "jobs": [job.row() for job in jobs],
        "digests": [one.digest for one in instances],
        "solvers": [one.solver for one in instances],
        "nodes": [one.size.num_nodes for one in instances],
        "edges": [one.size.num_edges for one in instances],
        "payloads": [one.payload for one in instances],
    }


def _result(job: NewJob, row: Any, place: int | None) -> Stored | ServiceError:
    refused = None
    if job.replay is not None:
        refused = refusal(job.replay, row.job_id, row.kept_hash, removed=row.removed)
    return refused or Stored(job, row.job_id, row.submitted_at, place)

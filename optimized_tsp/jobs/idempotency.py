"""Submissions that may be repeated: the same key and body give the same job for 24 hours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from optimized_tsp.core.database import Base, ReadSession, WriteSession
from optimized_tsp.core.errors import InputProblem, InvalidInput, StateConflict
from optimized_tsp.jobs.repository import Scope

__all__ = [
    "KEPT",
    "KEY_RULE",
    "TAKE_KEYS",
    "IdempotencyKey",
    "Replay",
    "earlier_job",
    "is_key",
    "prune_keys",
    "refusal",
]

KEPT = timedelta(hours=24)
KEY_RULE = "must be 1 to 255 visible ASCII characters"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def is_key(given: str) -> bool:
    """Whether a caller may use this as a key (`KEY_RULE`)."""
    return _KEY.fullmatch(given) is not None


class IdempotencyKey(Base):
    """A caller's key for one submission; `body_hash` is the fingerprint of what it came with."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_created_at_idx", "created_at"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    solver: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


@dataclass(frozen=True, slots=True)
class Replay:
    """What makes a submission repeatable: its key, the submission's fingerprint, and where in the
    request the key was given."""

    key: str
    body_hash: bytes
    pointer: str = "/Idempotency-Key"


_OLD = f"known.created_at < now() - interval '{KEPT.total_seconds():.0f} s'"
_RENEWED = ", ".join(
    f"{name} = CASE WHEN {_OLD} THEN excluded.{name} ELSE known.{name} END"
    for name in ("body_hash", "job_id", "created_at")
)

# Who comes while another transaction stores the same key waits for its end, and an update is what
# returns the row that is there then: a query would not see it. In one order everywhere, so that
# transactions with the same keys do not deadlock. The jobs are checked when the statement ends.
TAKE_KEYS = f"""
    INSERT INTO idempotency_keys AS known (tenant_id, solver, version, key, body_hash, job_id)
    SELECT DISTINCT ON (tenant_id, solver, version, key)
           tenant_id, solver, version, key, decode(body_hash, 'hex'), id
    FROM new WHERE key IS NOT NULL ORDER BY tenant_id, solver, version, key, id
    ON CONFLICT (tenant_id, solver, version, key) DO UPDATE SET {_RENEWED}
    RETURNING tenant_id, solver, version, key, job_id, body_hash
"""  # noqa: S608 - constants of ours
"""Gives each key of the rows `new` to a job, unless it has one; returns whose job each key is."""


async def earlier_job(session: ReadSession, scope: Scope, replay: Replay) -> UUID | None:
    """The job this key made before, None when there is none (or not any more)."""
    query = select(IdempotencyKey.job_id).where(
        IdempotencyKey.tenant_id == scope.tenant_id,
        IdempotencyKey.solver == scope.solver,
        IdempotencyKey.version == scope.version,
        IdempotencyKey.key == replay.key,
        IdempotencyKey.created_at >= func.now() - KEPT,
    )
    return await session.scalar(query)


def refusal(
    replay: Replay, earlier: UUID, body_hash: bytes, *, removed: bool
) -> InvalidInput | StateConflict | None:
    """What a submission is told whose key belongs to the job `earlier`; None: it is that job.

    `body_hash` is that job's fingerprint, `removed` says whether its owner has removed it.
    """
    if body_hash != replay.body_hash:
        return InvalidInput(
            "This Idempotency-Key was used with another body; use a new key for a new problem.",
            [InputProblem(replay.pointer, "key_reused", "belongs to another body")],
        )
    if removed:
        return StateConflict(
            f"This Idempotency-Key made the job {earlier}, which was removed since; "
            "use a new key for a new job."
        )
    return None


# A key that is taken again at this moment is young then, and stays.
_PRUNE = text(
    f"""
    DELETE FROM idempotency_keys AS known
    WHERE (tenant_id, solver, version, key) IN (
        SELECT tenant_id, solver, version, key FROM idempotency_keys AS known
        WHERE {_OLD} LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING key
    """  # noqa: S608 - constants of ours
)


async def prune_keys(session: WriteSession, *, limit: int) -> int:
    """Forget keys that are no longer promised to be known; returns how many."""
    removed = await session.execute(_PRUNE, {"limit": limit})
    return len(removed.all())

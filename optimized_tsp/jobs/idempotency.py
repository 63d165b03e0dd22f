"""Submissions that may be repeated: the same key and body give the same job for 24 hours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from optimized_tsp.core.database import Base, WriteSession
from optimized_tsp.core.errors import InputProblem, InvalidInput, StateConflict
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.repository import Scope

__all__ = [
    "KEY_RULE",
    "IdempotencyKey",
    "Replay",
    "earlier_job",
    "is_key",
    "prune_keys",
    "remember",
]

KEPT = timedelta(hours=24)
KEY_RULE = "must be 1 to 255 visible ASCII characters"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def is_key(text: str) -> bool:
    """Whether a caller may use this as a key (`KEY_RULE`)."""
    return _KEY.fullmatch(text) is not None


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


async def earlier_job(session: WriteSession, scope: Scope, replay: Replay) -> UUID | None:
    """The job this key made before, None when it is new.

    Raises `StateConflict` while it is in flight and when its job was removed, `InvalidInput` when
    it came with another body.
    """
    name = f"{scope.tenant_id}/{scope.solver}/{scope.version}/{replay.key}"
    free = await session.scalar(
        select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))
    )
    if not free:
        raise StateConflict(
            "A request with this Idempotency-Key is being handled right now; try again."
        )
    mine = (
        IdempotencyKey.tenant_id == scope.tenant_id,
        IdempotencyKey.solver == scope.solver,
        IdempotencyKey.version == scope.version,
        IdempotencyKey.key == replay.key,
    )
    await session.execute(
        delete(IdempotencyKey).where(*mine, IdempotencyKey.created_at < func.now() - KEPT)
    )
    earlier = await session.scalar(select(IdempotencyKey).where(*mine))
    if earlier is None:
        return None
    if earlier.body_hash != replay.body_hash:
        raise InvalidInput(
            "This Idempotency-Key was used with another body; use a new key for a new problem.",
            [InputProblem(replay.pointer, "key_reused", "belongs to another body")],
        )
    if await session.scalar(select(Job.deleted_at).where(Job.id == earlier.job_id)) is not None:
        raise StateConflict(
            f"This Idempotency-Key made the job {earlier.job_id}, which was removed since; "
            "use a new key for a new job."
        )
    return earlier.job_id


def remember(session: WriteSession, scope: Scope, replay: Replay, job_id: UUID) -> None:
    """Keep the key with the job it made, in the same transaction."""
    session.add(
        IdempotencyKey(
            tenant_id=scope.tenant_id,
            solver=scope.solver,
            version=scope.version,
            key=replay.key,
            body_hash=replay.body_hash,
            job_id=job_id,
        )
    )


async def prune_keys(session: WriteSession) -> None:
    """Forget keys that are no longer promised to be known."""
    await session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - KEPT)
    )

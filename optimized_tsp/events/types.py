"""What happened to a job, in the one form that REST, the feed and webhooks share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

__all__ = ["TERMINAL_EVENTS", "EventType", "JobEvent", "decode_position", "encode_position"]


class EventType(StrEnum):
    """Every type of event; exactly one terminal event ends a job's events."""

    SUBMITTED = "job.submitted"
    """The job was accepted and waits for a worker."""
    STARTED = "job.started"
    """A worker took the job; `data.attempt` counts these."""
    INCUMBENT = "job.incumbent"
    """A better solution was found: cost, bound, gap, elapsed seconds."""
    BOUND = "job.bound"
    """The lower bound rose while the best solution stayed."""
    COMPLETED = "job.completed"
    """Terminal: solved, or the time limit was reached with a solution, or proven infeasible."""
    FAILED = "job.failed"
    """Terminal: no answer; `data.error` says why."""
    CANCELLED = "job.cancelled"
    """Terminal: stopped on request; the best solution so far is kept."""


TERMINAL_EVENTS = frozenset({EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED})


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event as readers see it.

    `type` is an `EventType`, or one that a newer version wrote: it is passed on, not understood.
    `seq` is dense per job from 1; `position` orders the feed over all jobs and is what a cursor
    holds. `tenant_id` and `tags` serve filtering and are not part of the JSON.
    """

    type: str
    task_id: UUID
    solver: str
    version: str
    seq: int
    at: datetime
    position: int
    data: dict[str, Any]
    tenant_id: UUID
    tags: dict[str, str]

    @property
    def cursor(self) -> str:
        return encode_position(self.position)

    def to_json(self) -> bytes:
        """The event object of the feed, UTF-8."""
        return orjson.dumps(
            {
                "type": self.type,
                "task_id": str(self.task_id),
                "solver": self.solver,
                "version": self.version,
                "seq": self.seq,
                "at": self.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "cursor": self.cursor,
                "data": self.data,
            }
        )


def encode_position(position: int) -> str:
    """The opaque cursor that stands for everything up to and including `position`."""
    return f"{position:x}"


def decode_position(cursor: str) -> int:
    """The position of a cursor; raises ValueError for anything `encode_position` did not make."""
    position = int(cursor, 16) if 0 < len(cursor) <= 16 else -1
    if position < 0 or position >= 2**63 or encode_position(position) != cursor:
        raise ValueError("not a cursor of this feed")
    return position

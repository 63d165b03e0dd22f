"""Which events a reader wants; one rule for Python (live) and for SQL (replay)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, and_, any_, false, literal, or_

from optimized_tsp.events.models import Event
from optimized_tsp.events.types import JobEvent

__all__ = ["EventFilter", "Wanted"]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EventFilter:
    """Events of one tenant, narrowed by everything that is not None.

    `solver` is name and version, `tag` is key and value.
    """

    tenant_id: UUID
    solver: tuple[str, str] | None = None
    task_id: UUID | None = None
    tag: tuple[str, str] | None = None

    def matches(self, event: JobEvent) -> bool:
        """Whether the reader wants this event."""
        return (
            (self.task_id is None or event.task_id == self.task_id)
            and event.tenant_id == self.tenant_id
            and (self.solver is None or (event.solver, event.version) == self.solver)
            and (self.tag is None or event.tags.get(self.tag[0]) == self.tag[1])
        )

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for a query on `Event`."""
        conditions: list[ColumnElement[bool]] = [Event.tenant_id == self.tenant_id]
        if self.task_id is not None:
            conditions.append(Event.job_id == self.task_id)
        if self.solver is not None:
            name, version = self.solver
            conditions += [Event.solver == name, Event.version == version]
        if self.tag is not None:
            key, value = self.tag
            conditions.append(Event.tags.contains({key: value}))
        return conditions


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader gets: the events it subscribed to, and all of the jobs it follows beside them.

    Each part begins behind a position of its own: `subscribed` (None: nothing) behind `after`,
    `followed` behind `followed_after`. The ids of `followed` must be jobs the reader may see; they
    may change while this is in use.
    """

    subscribed: EventFilter | None
    after: int
    followed: Collection[UUID] = ()
    followed_after: int = 0

    @property
    def start(self) -> int:
        """The position behind which there may be something wanted."""
        return min(self.after, self.followed_after) if self.followed else self.after

    @property
    def task_id(self) -> UUID | None:
        """The one job whose events are wanted, None when there may be others."""
        return None if self.followed or self.subscribed is None else self.subscribed.task_id

    def matches(self, event: JobEvent) -> bool:
        """Whether the reader wants this event."""
        if (
            self.subscribed is not None
            and event.position > self.after
            and self.subscribed.matches(event)
        ):
            return True
        return event.position > self.followed_after and event.task_id in self.followed

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for a query on `Event`."""
        parts: list[ColumnElement[bool]] = [false()]
        if self.subscribed is not None:
            parts.append(and_(Event.position > self.after, *self.subscribed.conditions()))
        if self.followed:
            # One array, however many jobs: a list would be as many parameters.
            jobs = literal(list(self.followed), ARRAY(Uuid()))
            parts.append(and_(Event.position > self.followed_after, Event.job_id == any_(jobs)))
        return [or_(*parts)]

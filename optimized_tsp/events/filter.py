"""Which events a reader wants; one rule for Python (live) and for SQL (replay)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement

from optimized_tsp.events.models import Event
from optimized_tsp.events.types import JobEvent

__all__ = ["EventFilter"]


@dataclass(frozen=True, slots=True)
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

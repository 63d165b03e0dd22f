"""Totals of all processes that ever were, in Postgres: counters that survive whoever counted.

A process counts in its own memory (`Tally`) and adds what is new to the table every few seconds.
So the totals of replicas, and of workers that are gone, add up without anybody asking them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Double, Text, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from optimized_tsp.core.database import Base, Database, ReadSession, WriteSession

__all__ = ["SUM", "MetricTotal", "Tally", "Total", "read_totals"]

SUM = "sum"
"""The label `le` of the row that holds the sum of a histogram's observations."""


class MetricTotal(Base):
    """One counter, or one bucket of a histogram (label `le`; not cumulative)."""

    __tablename__ = "metric_totals"

    metric: Mapped[str] = mapped_column(Text, primary_key=True)
    labels: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[float] = mapped_column(Double)


@dataclass(frozen=True, slots=True)
class Total:
    """A row of the table, its labels as a mapping."""

    metric: str
    labels: dict[str, str]
    value: float


class Tally:
    """What one process has counted since it last wrote that down. Belongs to one event loop."""

    def __init__(self) -> None:
        self._counted: defaultdict[tuple[str, str], float] = defaultdict(float)

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._counted[metric, _text(labels)] += amount

    def observe(self, metric: str, value: float, buckets: Sequence[float], **labels: str) -> None:
        """Add an observation to a histogram with these upper bounds, ascending (and +Inf)."""
        found = bisect_left(buckets, value)
        bound = f"{buckets[found]:g}" if found < len(buckets) else "+Inf"
        self._counted[metric, _text(labels | {"le": bound})] += 1
        self._counted[metric, _text(labels | {"le": SUM})] += value

    async def write(self, database: Database) -> None:
        """Add what was counted to the totals; when that fails it is kept for the next time."""
        counted, self._counted = self._counted, defaultdict(float)
        try:
            async with database.write() as session:
                await _add(session, counted)
        except BaseException:
            for key, value in counted.items():
                self._counted[key] += value
            raise

    async def add_to(self, session: WriteSession) -> None:
        """Add what was counted to the totals, inside the caller's transaction."""
        await _add(session, self._counted)
        self._counted.clear()


async def _add(session: WriteSession, counted: Mapping[tuple[str, str], float]) -> None:
    if not counted:
        return
    # In one order everywhere: two processes that lock the same rows must not wait in a circle.
    rows = [
        {"metric": metric, "labels": labels, "value": value}
        for (metric, labels), value in sorted(counted.items())
    ]
    statement = insert(MetricTotal).values(rows)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["metric", "labels"],
            set_={"value": MetricTotal.value + statement.excluded.value},
        )
    )


async def read_totals(session: ReadSession) -> list[Total]:
    """All totals, by metric and labels."""
    query = select(MetricTotal).order_by(MetricTotal.metric, MetricTotal.labels)
    return [
        Total(row.metric, orjson.loads(row.labels), row.value)
        for row in await session.scalars(query)
    ]


def _text(labels: dict[str, str]) -> str:
    return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()

"""Lists of jobs, newest first: as fast over a million of them as over ten, whatever the filter.

A page is found in one index that is in the list's order, and only then is anything looked up for
its jobs. With several filters the one that fewest jobs match says which index. (Filters that many
jobs match, but hardly any together, take as long as it takes to pass those that match the first.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from optimized_tsp.core.database import Database
from optimized_tsp.core.tags import MAX_TAGS
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.repository import Scope, job_views
from optimized_tsp.jobs.schemas import JobView
from optimized_tsp.jobs.states import JobStatus

__all__ = ["MOST_JOBS", "Filters", "list_jobs"]

MOST_JOBS = 200
"""On one page."""

# Not `parameters`: an initial tour among them may be large.
_COLUMNS = (
    *("id", "solver", "version", "status", "solution_status", "stop_reason", "name", "tags"),
    *("submitted_at", "started_at", "completed_at", "timeout_s", "attempt", "error"),
    *("cancel_requested_at", "warnings", "webhook_endpoint_id", "run_started_at", "run_time_s"),
)
# The constant limit is for the planner, which does not know what :limit will be.
_LIST = """
WITH page AS MATERIALIZED (
    SELECT * FROM (
        SELECT {columns} FROM {tables} WHERE {conditions} ORDER BY {order} LIMIT {most}
    ) AS found LIMIT :limit
)
SELECT page.*, solutions.cost, solutions.lower_bound, solutions.gap, solutions.first_gap,
    webhook_endpoints.url AS webhook_url,
    page.run_time_s + coalesce(
        CAST(extract(epoch FROM now() - page.run_started_at) AS double precision), 0) AS elapsed_s
FROM page
LEFT JOIN solutions ON solutions.job_id = page.id
LEFT JOIN webhook_endpoints ON webhook_endpoints.id = page.webhook_endpoint_id
ORDER BY page.submitted_at DESC, page.id DESC
"""
# Each job by its id, whatever else is asked of it: OFFSET keeps the planner from going by another
# index of jobs, which without statistics seems as good and reads all jobs for each tag.
_BY_TAG = (
    "job_tags CROSS JOIN LATERAL (SELECT * FROM jobs WHERE id = job_tags.job_id OFFSET 0) AS jobs"
)
# Of what matches more jobs than these, how long ago the last of these was tells what is rarer.
_COUNTED = 1000
_COUNT = """(SELECT ROW(count(*), min(submitted_at)) FROM (
    SELECT {table}.submitted_at FROM {table} WHERE {conditions} ORDER BY {order} LIMIT {most}
) AS found) AS {name}"""
_JOBS_ORDER = "jobs.submitted_at DESC, jobs.id DESC"
_TAGS_ORDER = "job_tags.submitted_at DESC, job_tags.job_id DESC"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which jobs a list shows; empty means all. Every tag has to match."""

    statuses: Sequence[JobStatus] = ()
    submitted_after: datetime | None = None
    submitted_before: datetime | None = None
    tags: Sequence[tuple[str, str]] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of a query is in its text: names of parameters, and statuses.

    Some statuses are rare: Postgres is to know which are meant when it makes its plan.
    """

    given: frozenset[str]
    statuses: tuple[JobStatus, ...]


async def list_jobs(
    database: Database,
    places: Places,
    scope: Scope,
    filters: Filters,
    *,
    before: UUID | None,
    limit: int,
) -> list[JobView]:
    """Up to `limit` (at most `MOST_JOBS` + 1) jobs, those submitted before the job `before`."""
    tags = dict(filters.tags)
    if len(tags) < len(set(filters.tags)) or len(tags) > MAX_TAGS:
        return []  # no job has two values of one key
    given = {
        "tenant_id": scope.tenant_id,
        "solver": scope.solver,
        "version": scope.version,
        "submitted_after": filters.submitted_after,
        "submitted_before": filters.submitted_before,
        "before": before,
        "name": filters.name,
    }
    parameters: dict[str, Any] = {name: it for name, it in given.items() if it is not None}
    statuses = tuple(sorted(set(filters.statuses)))
    walked = await _rarest(database, parameters, statuses, tags)
    if walked in tags:
        parameters |= {"key": walked, "value": tags.pop(walked)}
    if tags:
        parameters["tags"] = tags
    parameters["limit"] = limit
    rows = await database.alone(_page(_Shape(frozenset(parameters), statuses)), parameters)
    return await job_views(places, rows)


async def _rarest(
    database: Database,
    parameters: dict[str, Any],
    statuses: tuple[JobStatus, ...],
    tags: dict[str, str],
) -> str | None:
    """The key of the tag to go by; None where the jobs themselves have a better index."""
    # Jobs of several statuses are in no index in the order of lists.
    shape = _Shape(frozenset(parameters), statuses if len(statuses) == 1 else ())
    others = len(list(_names_and_statuses(shape)))
    if not tags or len(tags) + others == 1:
        return next(iter(tags), None)
    of_tags = {f"key_{number}": key for number, key in enumerate(tags)}
    of_tags |= {f"value_{number}": value for number, value in enumerate(tags.values())}
    (counted,) = await database.alone(_counts(shape, len(tags)), parameters | of_tags)
    keys = [*tags, *([None] * others)]
    counts = map(tuple, counted.values())
    return min(zip(counts, range(len(keys)), keys, strict=True))[2]


@cache
def _page(shape: _Shape) -> TextClause:
    """The jobs of a page, in order, with everything that is shown of them."""
    tables, order, place = "jobs", _JOBS_ORDER, list(_place("jobs", "id", shape))
    if "key" in shape.given:
        tables, order, place = _BY_TAG, _TAGS_ORDER, _of_tag(shape, "")
    conditions = [*place, "jobs.deleted_at IS NULL", *_names_and_statuses(shape)]
    if "tags" in shape.given:
        conditions.append("jobs.tags @> :tags")
    statement = text(
        _LIST.format(
            columns=", ".join(f"jobs.{name}" for name in _COLUMNS),
            tables=tables,
            conditions=" AND ".join(conditions),
            order=order,
            most=MOST_JOBS + 1,
        )
    )
    if "tags" in shape.given:
        return statement.bindparams(bindparam("tags", type_=JSONB()))
    return statement


@cache
def _counts(shape: _Shape, tags: int) -> TextClause:
    """How many jobs each tag matches, the name and the status, in this order, and since when."""
    place = list(_place("jobs", "id", shape))
    counts = [("job_tags", _of_tag(shape, f"_{number}"), _TAGS_ORDER) for number in range(tags)]
    counts += [("jobs", [*place, one], _JOBS_ORDER) for one in _names_and_statuses(shape)]
    each = (
        _COUNT.format(
            table=table,
            conditions=" AND ".join(conditions),
            order=order,
            most=_COUNTED,
            name=f"count_{number}",
        )
        for number, (table, conditions, order) in enumerate(counts)
    )
    return text(f"SELECT {', '.join(each)}")


def _of_tag(shape: _Shape, number: str) -> list[str]:
    equal = [f"job_tags.{name} = :{name}{number}" for name in ("key", "value")]
    return [*_place("job_tags", "job_id", shape), *equal]


def _names_and_statuses(shape: _Shape) -> Iterator[str]:
    if "name" in shape.given:
        yield "jobs.name = :name"
    if shape.statuses:
        listed = ", ".join(f"'{status.value}'" for status in shape.statuses)
        yield f"jobs.status IN ({listed})"


def _place(table: str, job_id: str, shape: _Shape) -> Iterator[str]:
    """Where in an index: conditions on columns that jobs and their tags have alike."""
    for name in ("tenant_id", "solver", "version"):
        if name in shape.given:
            yield f"{table}.{name} = :{name}"
    if "submitted_after" in shape.given:
        yield f"{table}.submitted_at > :submitted_after"
    if "submitted_before" in shape.given:
        yield f"{table}.submitted_at < :submitted_before"
    if "before" in shape.given:
        at = "SELECT submitted_at FROM jobs WHERE id = :before"
        yield f"({table}.submitted_at, {table}.{job_id}) < (({at}), :before)"

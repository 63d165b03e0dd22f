"""What is replayed from SQL is what would have been sent live."""

from __future__ import annotations

import itertools

from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.events.filter import EventFilter
from optimized_tsp.events.log import replay_page
from optimized_tsp.events.types import JobEvent
from tests.events.conftest import Source, append, read_on

TAGS = [{}, {"team": "north"}, {"team": "south", "run": "a:b"}, {"TEAM": "north"}]


async def replayed(
    db: Database, wanted: EventFilter, *, after: int, upto: int, limit: int
) -> list[JobEvent]:
    events = []
    while after < upto:
        async with db.read() as session:
            page = await replay_page(session, wanted, after=after, upto=upto, limit=limit)
        assert page.end > after
        assert len(page.events) <= limit
        events += page.events
        after = page.end
    return events


async def test_python_and_sql_choose_the_same_events(db: Database) -> None:
    # Given events of several tenants, solvers and tags
    other = new_id()
    sources = [
        Source(solver=solver, version=version, tags=tags, tenant_id=tenant)
        for solver, version, tags, tenant in itertools.product(
            ("tsp", "knapsack"), ("v1", "v2"), TAGS, (DEFAULT_TENANT_ID, other)
        )
    ]
    for source in sources * 2:
        await append(db, source)
    events = await read_on(db)
    # When any filter is applied
    wanted = [
        EventFilter(DEFAULT_TENANT_ID, solver=solver, tag=tag, task_id=task_id)
        for solver in (None, ("tsp", "v1"))
        for tag in (None, ("team", "north"), ("run", "a:b"), ("team", ""))
        for task_id in (None, sources[0].id, sources[1].id, new_id())
    ]
    for filter_, limit in itertools.product(wanted, (1, 3, 1000)):
        after, upto = events[1].position, events[-3].position
        # Then pages of any size hold what Python chooses, in feed order
        assert await replayed(db, filter_, after=after, upto=upto, limit=limit) == [
            event for event in events if after < event.position <= upto and filter_.matches(event)
        ]

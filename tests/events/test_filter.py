"""What is replayed from SQL is what would have been sent live."""

from __future__ import annotations

import itertools

from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.events.filter import EventFilter, Wanted
from optimized_tsp.events.log import replay_page
from optimized_tsp.events.types import JobEvent
from tests.events.conftest import Source, append, read_on

TAGS = [{}, {"team": "north"}, {"team": "south", "run": "a:b"}, {"TEAM": "north"}]


async def replayed(
    db: Database, wanted: Wanted, *, after: int, upto: int, limit: int
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


async def happened(db: Database) -> tuple[list[Source], list[JobEvent]]:
    """Jobs of several tenants, solvers and tags, each with two events."""
    sources = [
        Source(solver=solver, version=version, tags=tags, tenant_id=tenant)
        for solver, version, tags, tenant in itertools.product(
            ("tsp", "knapsack"), ("v1", "v2"), TAGS, (DEFAULT_TENANT_ID, new_id())
        )
    ]
    for source in sources * 2:
        await append(db, source)
    return sources, await read_on(db)


async def test_python_and_sql_choose_the_same_events(db: Database) -> None:
    sources, events = await happened(db)
    # When any filter is applied
    filters = [
        EventFilter(DEFAULT_TENANT_ID, solver=solver, tag=tag, task_id=task_id)
        for solver in (None, ("tsp", "v1"))
        for tag in (None, ("team", "north"), ("run", "a:b"), ("team", ""))
        for task_id in (None, sources[0].id, sources[1].id, new_id())
    ]
    for filter_, limit in itertools.product(filters, (1, 3, 1000)):
        after, upto = events[1].position, events[-3].position
        # Then pages of any size hold what Python chooses, in feed order
        wanted = Wanted(filter_, after)
        assert await replayed(db, wanted, after=after, upto=upto, limit=limit) == [
            event for event in events if after < event.position <= upto and filter_.matches(event)
        ]


async def test_jobs_that_are_followed_beside_a_filter(db: Database) -> None:
    sources, events = await happened(db)
    early, late = events[5].position, events[34].position
    followed = {sources[2].id, sources[5].id}
    for filter_ in (None, EventFilter(DEFAULT_TENANT_ID, tag=("team", "north"))):
        for after, followed_after in ((early, late), (late, early), (early, early)):
            wanted = Wanted(filter_, after, followed, followed_after)
            assert wanted.start == early
            # Each part begins behind its own position; what both want comes once
            expected = [
                event
                for event in events
                if (event.position > followed_after and event.task_id in followed)
                or (event.position > after and filter_ is not None and filter_.matches(event))
            ]
            assert expected
            assert [event for event in events if wanted.matches(event)] == expected
            for limit in (1, 3, 1000):
                upto = events[-1].position
                assert expected == await replayed(db, wanted, after=early, upto=upto, limit=limit)


def test_nothing_is_wanted() -> None:
    wanted = Wanted(None, 7)
    assert wanted.start == 7
    assert wanted.task_id is None

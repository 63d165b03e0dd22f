"""What retention takes away while others come for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.jobs import retention
from optimized_tsp.jobs.logs import NewLine, append_lines
from tests.jobs.conftest import Submit
from tests.jobs.test_leases import claim
from tests.jobs.test_submitting import rows

# As a query finds them that began before the job was stored.
_SEEN_TOO_EARLY = text(
    "SELECT digest FROM instances WHERE CAST(:keep AS interval) IS NOT NULL LIMIT :limit FOR UPDATE"
)


async def test_an_instance_that_is_wanted_again_since_it_was_chosen_is_not_pruned(
    db: Database, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submit()
    monkeypatch.setattr(retention, "_LOCK_UNUSED_INSTANCES", _SEEN_TOO_EARLY)

    async with db.write() as session:
        await session.execute(text("UPDATE instances SET created_at = now() - interval '9 days'"))
        assert await retention.prune_instances(session, keep=timedelta(days=7), limit=10) == 0

    assert await rows(db, "SELECT payload IS NOT NULL FROM instances") == [(True,)]


async def test_what_is_left_of_a_log_has_no_hole(db: Database, submit: Submit) -> None:
    # Given old logs whose lines are not stored in their order
    for _ in range(3):
        await submit()
        async with db.write() as session:
            lines = [NewLine(0.1, "info", str(number)) for number in range(10)]
            await append_lines(session, await claim(db), lines, after=0)
    async with db.write() as session:
        await session.execute(
            text(
                "WITH lines AS (DELETE FROM job_logs RETURNING *) INSERT INTO job_logs"
                " SELECT * FROM lines ORDER BY line % 3, line DESC"
            )
        )
        await session.execute(text("UPDATE job_logs SET at = at - interval '8 days'"))
    removed, left = 1, 30
    while removed:
        async with db.write() as session:
            removed = await retention.prune_logs(session, keep=timedelta(days=7), limit=4)
        left -= removed
        # Then what is left of each is its end, after every step
        holes = await rows(
            db,
            "SELECT job_id FROM job_logs GROUP BY job_id HAVING max(line) < 10"
            " OR count(*) < max(line) - min(line) + 1",
        )
        assert holes == []
        assert removed == min(4, left + removed)
    assert left == 0

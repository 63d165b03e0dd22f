"""What retention takes away while others come for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.jobs import retention
from tests.jobs.conftest import Submit
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

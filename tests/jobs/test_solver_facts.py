"""What a solver did is found in SQL, and what was asked of it is loaded only where it is used."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from optimized_tsp.core.database import Database
from optimized_tsp.jobs import answers
from tests.jobs.conftest import Submit
from tests.jobs.test_leases import answer, claim, solution_row

FACTS = {
    "engine": "cp_sat",
    "proven_by": "root_relaxation",
    "root_bound": 2**53,
    "nodes": 0,
    "cp_sat_s": 0.25,
}


async def finish(db: Database, statistics: dict[str, Any] | None) -> dict[str, Any]:
    """The row of a job that ended with these statistics, as an analyst sees it."""
    claimed = await claim(db)
    async with db.write() as session:
        await answers.finish(session, claimed, answer(statistics=statistics))
    assert (await solution_row(db, claimed.job_id)).statistics == statistics
    async with db.read() as session:
        row = await session.execute(
            text("SELECT * FROM reporting.jobs WHERE task_id = :id"), {"id": claimed.job_id}
        )
        return dict(row.mappings().one())


async def test_facts_with_names_of_their_own_are_columns(db: Database, submit: Submit) -> None:
    await submit()
    row = await finish(db, FACTS | {"cuts_comb": 12})
    assert {name: row[name] for name in FACTS} == FACTS
    assert row["statistics"] == FACTS | {"cuts_comb": 12}


@pytest.mark.parametrize(
    "odd",
    [
        None,
        {},
        {"engine": 5, "proven_by": None, "root_bound": "low", "nodes": True, "cp_sat_s": "long"},
        {"engine": ["a"], "root_bound": 2**63, "nodes": 1.5, "cp_sat_s": False},
    ],
)
async def test_what_a_plugin_says_otherwise_does_not_stop_its_job(
    db: Database, submit: Submit, odd: dict[str, Any] | None
) -> None:
    await submit()
    row = await finish(db, odd)
    assert {name: row[name] for name in FACTS} == dict.fromkeys(FACTS)


async def test_an_initial_tour_goes_to_the_solver_and_not_to_reporting(
    db: Database, submit: Submit
) -> None:
    await submit(parameters={"initial_tour": [2, 1, 0], "engine": "cp_sat"})
    claimed = await claim(db)
    assert claimed.parameters["initial_tour"] == [2, 1, 0]

    async with db.read() as session:
        shown = await session.scalar(text("SELECT parameters FROM reporting.jobs"))
    assert shown["engine"] == "cp_sat"
    assert "initial_tour" not in shown

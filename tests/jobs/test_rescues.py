"""What is known of a job that was taken from a worker that is gone."""

from __future__ import annotations

from optimized_tsp.core.context import Origin, coming_from
from optimized_tsp.core.database import Database
from optimized_tsp.jobs.outcomes import Rescued, rescue_expired
from optimized_tsp.jobs.states import JobStatus
from tests.jobs.conftest import Submit
from tests.jobs.test_leases import claim, expire_lease


async def test_a_rescue_names_the_request_that_the_job_came_with(
    db: Database, submit: Submit
) -> None:
    with coming_from(Origin("the-request")):
        job_id = await submit()
    await claim(db)
    await expire_lease(db, job_id)

    async with db.write() as session:
        rescued = await rescue_expired(session)

    assert rescued == [Rescued(job_id, JobStatus.SUBMITTED, "the-request")]

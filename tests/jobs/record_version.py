"""Records what this version says to Postgres about a job, for `test_version_before.py`.

With a release: `python -m tests.with_servers python -m tests.jobs.record_version > FILE`, with the
package that is released, and FILE is the next version's `tests/jobs/version_before.json`. What goes
to the driver directly (`Database.alone`) is recorded, too.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import TextClause, event

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database, _Native
from optimized_tsp.core.ids import DEFAULT_TENANT_ID
from optimized_tsp.jobs import answers, leases, outcomes
from optimized_tsp.jobs.logs import NewLine, append_lines
from optimized_tsp.jobs.outcomes import Progress
from optimized_tsp.jobs.storing import NewJob, store_job
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.solvers.tsp import TspSolver
from tests.jobs.conftest import TRIANGLE
from tests.jobs.test_leases import WORSE_TOUR, answer, claim


class RecordingDatabase(Database):
    """Notes every statement, with its parameters, under the name of the step under way."""

    def __init__(self, url: str) -> None:
        super().__init__(url, application_name="recorder")
        self.steps: dict[str, list[dict[str, Any]]] = {}
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._note_session)

    def begin(self, step: str) -> None:
        self.steps[step] = []

    async def alone(self, statement: TextClause, parameters: Mapping[str, Any]) -> list[Any]:
        native = _Native(statement, self.engine.dialect)
        self._note(native.sql, native.arguments(parameters))
        return await super().alone(statement, parameters)

    def _note_session(
        self,
        _c: object,
        _d: object,
        sql: str,
        parameters: Any,
        _e: object,
        many: bool,  # noqa: FBT001 - theirs
    ) -> None:
        for each in parameters if many else [parameters]:
            self._note(sql, each)

    def _note(self, sql: str, parameters: Any) -> None:
        said = {"sql": re.sub(r"\s+", " ", sql).strip(), "parameters": _plain(parameters)}
        list(self.steps.values())[-1].append(said)


def _plain(value: Any) -> Any:
    match value:
        case UUID():
            return {"uuid": str(value)}
        case bytes():
            return {"hex": value.hex()}
        case timedelta():
            return {"seconds": value.total_seconds()}
        case list() | tuple():
            return [_plain(one) for one in value]
    return value


async def record(url: str) -> dict[str, Any]:
    """Do each step once."""
    db = RecordingDatabase(url)
    body = {"name": "from before", "tags": {"team": "north"}, "tsp_instance": TRIANGLE}
    parsed = parse_submission(TspSolver(), orjson.dumps(body), Settings())
    db.begin("submit")
    async with db.write() as session:
        job = (await store_job(session, NewJob(DEFAULT_TENANT_ID, parsed))).job_id
    db.begin("claim")
    claimed = await claim(db, worker="worker of before")
    db.begin("progress")
    async with db.write() as session:
        await outcomes.save_progress(session, claimed, Progress(WORSE_TOUR, 3, 0.1))
    db.begin("log")
    async with db.write() as session:
        await append_lines(session, claimed, [NewLine(0.1, "info", "said before")], after=0)
    db.begin("renew")
    async with db.write() as session:
        await leases.renew(session, claimed, lease_s=15)
    db.begin("finish")
    async with db.write() as session:
        await answers.finish(session, claimed, answer(), log=[NewLine(0.4, "info", "done")])
    await db.close()
    return {"job": str(job), "steps": db.steps}


if __name__ == "__main__":
    recorded = asyncio.run(record(os.environ["OPTIMIZED_TSP_DATABASE_URL"]))
    sys.stdout.buffer.write(orjson.dumps(recorded, option=orjson.OPT_INDENT_2) + b"\n")

"""Waiting for a job: woken by what is heard, one look for all, and nothing missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import select, text

from optimized_tsp.core.database import Database
from optimized_tsp.jobs import waiting
from optimized_tsp.jobs.models import Job
from optimized_tsp.jobs.waiting import Waiter, Waiters
from tests.jobs.conftest import Submit

DEADLINE_S = 30.0
OFTEN = (0.01, 0.02)
NEVER = (3600.0, 3600.0)


@pytest.fixture
async def waiters(db: Database) -> AsyncIterator[Waiters]:
    async with Waiters(db) as waiters:
        yield waiters


async def happen(db: Database, job_id: UUID, change: str = "last_seq = last_seq + 1") -> None:
    async with db.write() as session:
        statement = f"UPDATE jobs SET {change} WHERE id = :id"  # noqa: S608 - written below
        await session.execute(text(statement), {"id": job_id})


class Reader:
    """Waits for a job's next event behind the last one it saw, and counts how often it looks."""

    def __init__(self, db: Database, job_id: UUID, *, seen: int = 1) -> None:
        self._db, self._job_id, self._seen = db, job_id, seen
        self.looks = 0
        self.looked = asyncio.Event()

    async def look(self) -> int | None:
        self.looks += 1
        async with self._db.read() as session:
            last = await session.scalar(select(Job.last_seq).where(Job.id == self._job_id))
        self.looked.set()
        return last if last is not None and last > self._seen else None

    async def read(self, waiter: Waiter) -> int | None:
        return await waiter.until(self.look, ("events", self._seen), timeout_s=DEADLINE_S)

    async def wait(self, waiters: Waiters) -> int | None:
        with waiters.waiting_for(self._job_id) as waiter:
            return await self.read(waiter)


async def looked(*readers: Reader) -> None:
    async with asyncio.timeout(DEADLINE_S):
        for reader in readers:
            await reader.looked.wait()
            reader.looked.clear()


async def test_one_look_answers_all_who_ask_the_same(
    db: Database, submit: Submit, waiters: Waiters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_ANYWAY_S", NEVER)
    job_id = await submit()
    reader = Reader(db, job_id)
    waits = [asyncio.create_task(reader.wait(waiters)) for _ in range(50)]
    await looked(reader)
    # When it is heard of and there is nothing
    waiters.wake(job_id)
    await looked(reader)
    # and then there is
    await happen(db, job_id)
    waiters.wake(job_id)

    assert set(await asyncio.gather(*waits)) == {2}
    assert reader.looks == 3


async def test_who_has_seen_more_is_not_answered_with_less(
    db: Database, submit: Submit, waiters: Waiters
) -> None:
    job_id = await submit()
    await happen(db, job_id)
    behind, ahead = Reader(db, job_id, seen=1), Reader(db, job_id, seen=2)
    waits = [asyncio.create_task(reader.wait(waiters)) for reader in (behind, ahead)]
    assert await waits[0] == 2

    await happen(db, job_id)
    waiters.wake(job_id)
    assert await waits[1] == 3


@pytest.mark.parametrize("change", ["last_seq = 2", "log_lines = 1", "deleted_at = now()"])
async def test_what_nobody_told_of_is_found(
    db: Database, submit: Submit, waiters: Waiters, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_ANYWAY_S", OFTEN)
    waiters.wake(None)
    job_id = await submit()
    query = text("SELECT last_seq > 1 OR log_lines > 0 OR deleted_at IS NOT NULL FROM jobs")

    async def changed() -> bool | None:
        async with db.read() as session:
            return await session.scalar(query) or None

    with waiters.waiting_for(job_id) as waiter:
        wait = asyncio.create_task(waiter.until(changed, "changed", timeout_s=DEADLINE_S))
        await happen(db, job_id, change)
        assert await wait is True


async def test_while_nothing_happens_nobody_looks_but_one_for_all(
    db: Database, submit: Submit, waiters: Waiters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_ANYWAY_S", OFTEN)
    waiters.wake(None)
    silent, lively = await submit(), await submit()
    quiet, other = Reader(db, silent), Reader(db, lively)
    waits = [asyncio.create_task(quiet.wait(waiters)) for _ in range(20)]
    with waiters.waiting_for(lively) as waiter:
        # Given that all were looked at twice: for the first time, and since
        for seen in (2, 3, 4, 5):
            await happen(db, lively)
            other._seen = seen - 1
            assert await other.read(waiter) == seen
    # Then the silent were asked for when they came, and again when they were looked at first
    assert quiet.looks <= 2
    await happen(db, silent)
    assert set(await asyncio.gather(*waits)) == {2}
    assert quiet.looks <= 3


async def test_without_messages_everything_is_looked_at_at_once(
    db: Database, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_ANYWAY_S", NEVER)
    job_id = await submit()
    reader = Reader(db, job_id)
    async with Waiters(db) as waiters:
        wait = asyncio.create_task(reader.wait(waiters))
        await looked(reader)
        await happen(db, job_id)
        waiters.wake(None)
        assert await asyncio.wait_for(wait, DEADLINE_S) == 2


async def test_what_happens_between_the_look_and_the_wait_is_seen(
    db: Database, submit: Submit, waiters: Waiters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_ANYWAY_S", NEVER)
    job_id = await submit()

    class Interrupted(Reader):
        async def look(self) -> int | None:
            found = await super().look()
            if found is None:  # Given an event that this look came too early for
                await happen(db, job_id)
                waiters.wake(job_id)
            return found

    reader = Interrupted(db, job_id)
    waits = [asyncio.create_task(reader.wait(waiters)) for _ in range(5)]
    assert set(await asyncio.gather(*waits)) == {2}
    assert reader.looks == 2


async def test_an_error_reaches_all_and_those_who_come_again_are_answered(
    submit: Submit, waiters: Waiters
) -> None:
    job_id = await submit()
    answers: list[Exception | int] = [LookupError("gone"), 7]

    async def look() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with waiters.waiting_for(job_id) as one, waiters.waiting_for(job_id) as other:
        waits = [waiter.until(look, "it", timeout_s=DEADLINE_S) for waiter in (one, other)]
        for error in await asyncio.gather(*waits, return_exceptions=True):
            assert isinstance(error, LookupError)
        assert await one.until(look, "it", timeout_s=DEADLINE_S) == 7


async def test_a_process_that_stops_sends_everybody_home(
    db: Database, submit: Submit, waiters: Waiters
) -> None:
    reader = Reader(db, await submit())
    wait = asyncio.create_task(reader.wait(waiters))
    await looked(reader)
    waiters.end()
    assert await asyncio.wait_for(wait, DEADLINE_S) is None


async def test_who_leaves_is_forgotten(db: Database, submit: Submit, waiters: Waiters) -> None:
    reader = Reader(db, await submit())
    wait = asyncio.create_task(reader.wait(waiters))
    await looked(reader)
    wait.cancel()
    await asyncio.wait([wait])
    assert not waiters._jobs

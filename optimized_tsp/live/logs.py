"""The log of one job for a client that asked for it: what is there, then what comes, to the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from optimized_tsp.core.errors import Gone, NotFound
from optimized_tsp.jobs.logs import LogView, find_log
from optimized_tsp.jobs.repository import Scope
from optimized_tsp.jobs.waiting import Waiters
from optimized_tsp.live.feed import Feed
from optimized_tsp.live.frames import log_frame

__all__ = ["send_log"]

_LINES = 500
_QUIET_S = 3600.0


async def send_log(
    feed: Feed,
    waiters: Waiters,
    scope: Scope,
    job_id: UUID,
    *,
    after: int,
    send: Callable[[str], Awaitable[None]],
) -> None:
    """Send a job's log behind line `after`; returns when the job has ended and all is sent.

    Lines that retention has removed are passed over. Raises `ServiceUnavailable`.
    """
    while True:
        seen = after

        async def news(seen: int = seen) -> LogView | None:
            async with feed.reading() as session:
                found = await find_log(session, scope, job_id, after=seen, limit=_LINES)
            return found if found.lines or found.complete else None

        try:
            found = await waiters.until(job_id, news, timeout_s=_QUIET_S)
        except Gone as gone:
            after = int(gone.extensions()["oldest"])
            continue
        except NotFound:  # removed from the API meanwhile
            return
        if found is None:
            continue
        await send(log_frame(job_id, found))
        if found.complete:
            return
        after = found.lines[-1].line

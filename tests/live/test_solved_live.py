"""A real worker, a real problem, one websocket for all of it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from websockets.asyncio.client import connect

from optimized_tsp.solvers.registry import all_solvers
from tests.live.conftest import Client
from tests.stack import RunningStack


async def followed_to_the_end(client: Client, task_id: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not events or events[-1]["type"] not in {"job.completed", "job.failed"}:
            message = await client.receive()
            if message["type"] == "event" and message["event"]["task_id"] == task_id:
                events.append(message["event"])
    return events


async def test_submitted_followed_and_solved_on_one_connection(
    running_stack: RunningStack,
) -> None:
    for (name, version), solver in all_solvers().items():
        example = solver.examples()[0]
        url = running_stack.base_url.replace("http", "ws") + f"/{name}_solver/{version}/live"
        async with connect(url, proxy=None, max_queue=None) as socket:
            client = Client(socket)
            task_id = await client.submit(
                solver=name,
                version=version,
                tours=True,
                body=orjson.loads(orjson.dumps(example.submission)),
            )
            events = await followed_to_the_end(client, task_id)
            # Then its events are complete, and the last has the solution
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            end = events[-1]["data"]
            assert events[-1]["type"] == "job.completed"
            assert end["solution"]["cost"] == end["cost"]
            job = await client.result("getJob", task_id=task_id)
            assert (job["status"], job["cost"]) == ("Completed", end["cost"])
            assert (await client.result("getQueue"))["running"] == 0

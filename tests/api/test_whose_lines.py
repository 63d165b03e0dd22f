"""Log lines of a running API name the request and the job they are about, and no others."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from tests.api.conftest import JOBS, TRIANGLE
from tests.conftest import StartStack
from tests.stack import RunningStack

SMALL = json.dumps(TRIANGLE).encode()


def request(head: str, request_id: str, body: bytes = b"") -> bytes:
    """As it is on the wire."""
    headers = {
        "Host": "127.0.0.1",
        "X-Request-ID": request_id,
        "Content-Type": "application/json",
        "Content-Length": len(body),
    }
    said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{head} HTTP/1.1\r\n{said}\r\n".encode() + body


async def lines(stack: RunningStack, number: int, event: str) -> list[dict[str, Any]]:
    """What the API said of this, when it has said it so often."""
    async with asyncio.timeout(20):
        while True:
            said = (stack.folder / "api.log").read_text().splitlines()
            found = [line for line in map(json.loads, said) if line["event"] == event]
            if len(found) >= number:
                return found
            await asyncio.sleep(0.05)


async def test_requests_that_follow_one_another_do_not_name_each_other_s_jobs(
    start_stack: StartStack,
) -> None:
    stack = start_stack(workers=0, log_format="json")
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    writer.write(request(f"POST {JOBS}", "first", SMALL) + request(f"GET {JOBS}", "second"))
    said = {line["request_id"]: line for line in await lines(stack, 2, "request")}
    answers = (await reader.read(2**16)).decode()
    writer.close()

    assert said["first"]["job"] in answers
    assert re.findall("(?i)^x-request-id: (.*)\r$", answers, re.MULTILINE)[0] == "first"
    assert (said["second"]["path"], said["second"]["status"]) == (JOBS, 200)
    assert "job" not in said["second"]

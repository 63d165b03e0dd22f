"""docs/webhooks.md: every call on the page is made, and what arrives looks like the example."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.conftest import StartStack
from tests.stack import RunningStack
from tests.webhooks.receiver import answer, receiver

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
CALLS = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "curl" in block]
(ARRIVAL,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))


class Reader:
    """Somebody who copies the page's commands, with an address of their own."""

    def __init__(self, stack: RunningStack, url: str) -> None:
        self._stack = stack
        self._url = url
        self.known: dict[str, str] = {}

    async def run(self, commands: str) -> list[Any]:
        """The answers, one for each call; a call that is refused fails the test."""
        script = commands.replace("http://127.0.0.1:8000", self._stack.base_url)
        script = script.replace("https://hooks.example.org/tours", self._url)
        done = await asyncio.to_thread(
            subprocess.run,
            ["sh", "-eu"],
            input=script.replace("curl -sS", "curl -sS --fail-with-body"),
            env=os.environ | self.known,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, script + done.stdout + done.stderr
        answers, rest, decoder = [], done.stdout, json.JSONDecoder()
        while rest:
            found, end = decoder.raw_decode(rest)
            answers.append(found)
            rest = rest[end:]
        return answers


def shape(value: Any) -> Any:
    """The names of an object and of what is in it."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else 0


async def test_every_call_does_what_the_page_says(start_stack: StartStack) -> None:
    for_one, job_secret, for_all, change, became, rotate = CALLS
    stack = start_stack(webhook_allow_http="true", webhook_allowed_networks="127.0.0.0/8")
    async with receiver(answer(204)) as hook:
        reader = Reader(stack, hook.url())

        (job,), (secret,) = await reader.run(for_one), await reader.run(job_secret)
        assert job["webhook_url"] == hook.url()
        await hook.until(lambda seen: seen.received)
        arrived = hook.received[0]
        event = Webhook(secret["secret"]).verify(arrived.body, arrived.headers)
        assert event["data"]["task_id"] == job["task_id"]
        assert event["data"]["data"]["cost"] == 14
        assert shape(event) == shape(ARRIVAL)
        assert list(event) == list(ARRIVAL)

        (endpoint,) = await reader.run(for_all)
        reader.known["ID"] = endpoint["id"]
        endpoints, same, changed, test, disabled, enabled = await reader.run(change)
        assert endpoints == [same] == [{k: v for k, v in endpoint.items() if k != "secret"}]
        assert changed["tags"] is None
        assert (disabled["disabled_at"] is None, enabled["disabled_at"]) == (False, None)

        reader.known["MSG"] = test["id"]
        _, delivery, again, failed = await reader.run(became)
        assert delivery["event_type"] == "webhook.test"
        assert again["id"] == test["id"]
        assert set(failed) == {"redelivered"}
        await hook.until(lambda seen: test["id"] in seen.ids)
        arrived = next(each for each in hook.received if each.id == test["id"])
        assert Webhook(endpoint["secret"]).verify(arrived.body, arrived.headers)

        new, _ = await reader.run(rotate)
        assert new["secret"] != endpoint["secret"]
        assert new["previous_valid_until"] is not None

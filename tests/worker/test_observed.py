"""A job from its request to its notification, as its log lines and its trace tell it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from websockets.asyncio.client import connect

from tests.conftest import StartStack
from tests.stack import WEBHOOK_KEY
from tests.webhooks.receiver import answer, receiver

JOBS = "/tsp_solver/v1/jobs"
TRIANGLE = {"tsp_instance": {"matrix": [[None, 1, 9], [9, None, 2], [3, 9, None]]}}
TRACE_ID, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
REQUEST_ID = "request-of-the-test"
DEADLINE_S = 60.0


class Collector:
    """An OTLP/HTTP receiver: spans by service and name."""

    def __init__(self) -> None:
        spans: dict[tuple[str, str], Span] = {}
        self.spans = spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    facts = {a.key: a.value.string_value for a in group.resource.attributes}
                    for scope in group.scope_spans:
                        for span in scope.spans:
                            spans[facts["service.name"], span.name] = span
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Tests are quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, service: str, name: str) -> Span:
        deadline = time.monotonic() + DEADLINE_S
        while (service, name) not in self.spans:
            assert time.monotonic() < deadline, sorted(self.spans)
            time.sleep(0.05)
        return self.spans[service, name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def lines(text: str) -> list[dict[str, Any]]:
    """Every line a process printed; each must be JSON."""
    return [json.loads(line) for line in text.splitlines()]


async def test_request_worker_and_notification_are_one_story(
    start_stack: StartStack, collector: Collector
) -> None:
    stack = start_stack(
        log_format="json",
        traces_endpoint=collector.endpoint,
        webhook_key=WEBHOOK_KEY,
        webhook_allow_http="true",
        webhook_allowed_networks="127.0.0.0/8",
    )
    live = stack.base_url.replace("http", "ws") + "/live"
    headers = {
        "X-Request-ID": REQUEST_ID,
        "traceparent": f"00-{TRACE_ID}-{CALLER}-01",
    }
    async with (
        receiver(answer(500)) as stranger,
        connect(live, proxy=None) as feed,
        httpx.AsyncClient(base_url=stack.base_url, timeout=90) as client,
    ):
        endpoint = (await client.post("/webhooks", json={"url": stranger.url()})).json()
        await feed.send('{"type":"subscribe"}')
        await feed.recv()
        job = (await client.post(JOBS, json=TRIANGLE, headers=headers)).json()
        task_id = job["task_id"]
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] != "job.completed":
            message = orjson.loads(await feed.recv())
            if message["type"] == "event":
                seen.append(message["event"])
        await stranger.until(lambda stranger: stranger.received)
    request = collector.wait_for("optimized-tsp-api", f"POST {JOBS}")
    solve = collector.wait_for("optimized-tsp-worker", "solve tsp v1")
    notify = collector.wait_for("optimized-tsp-api", "notify job.completed")
    stack.stop()

    # One trace: the caller's, then the request, then both what the worker did and who was told
    assert {span.trace_id.hex() for span in (request, solve, notify)} == {TRACE_ID}
    assert request.parent_span_id.hex() == CALLER
    assert {solve.parent_span_id, notify.parent_span_id} == {request.span_id}
    assert request.start_time_unix_nano < solve.start_time_unix_nano
    passed_on = f"00-{TRACE_ID}-{request.span_id.hex()}-01"
    assert {event["data"]["traceparent"] for event in seen} == {passed_on}

    # The log lines of both processes name the request and the job
    [answered] = [
        line
        for line in lines((stack.folder / "api.log").read_text())
        if line["event"] == "request" and line["path"] == JOBS
    ]
    assert (answered["request_id"], answered["job"]) == (REQUEST_ID, task_id)
    assert (answered["method"], answered["status"]) == ("POST", 202)
    worker = lines((stack.folder / "worker-1.log").read_text())
    [ended] = [line for line in worker if line["event"] == "job_ended"]
    assert (ended["request_id"], ended["job"]) == (REQUEST_ID, task_id)
    assert (ended["solver"], ended["version"]) == ("tsp", "v1")
    assert (ended["attempt"], ended["level"]) == (1, "info")
    [failed] = [line for line in worker if line["event"] == "webhook_failed"]
    assert (failed["request_id"], failed["job"]) == (REQUEST_ID, task_id)
    assert (failed["delivery"], failed["endpoint"]) == (stranger.ids[0], endpoint["id"])


def test_without_the_setting_nothing_that_traces_is_imported() -> None:
    program = """
import sys
from optimized_tsp.core.config import Settings
from optimized_tsp.api.app import create_app
from optimized_tsp.core.tracing import start_tracing
import optimized_tsp.worker.main
url = {"database_url": "postgresql://a:b@127.0.0.1:9/c", "redis_url": "redis://127.0.0.1:9/0"}
create_app(Settings(**url))
start_tracing(None, service="worker").close()
# FastAPI and redis-py import parts of it by themselves where it is installed; what traces is ours.
ours = ("opentelemetry.sdk.trace.export", "opentelemetry.exporter", "optimized_tsp.core.otlp")
sys.exit(any(name.startswith(ours) for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=100)
    assert done.returncode == 0

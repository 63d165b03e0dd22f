"""Checks of what the service does: keys, answers, two workers, kills and restarts."""

from __future__ import annotations

import time
from typing import Any

from deploy.compose_check.service import JOBS, TERMINAL, Service, length_of, random_points
from deploy.compose_check.stack import CheckFailed, require, until
from deploy.compose_check.trial import Trial

__all__ = [
    "feeds",
    "gives_back_when_stopped",
    "keeps_solving_while_servers_restart",
    "refuses_strangers",
    "solves",
    "survives_a_killed_worker",
    "takes_jobs_without_redis",
    "upgrades",
    "uses_every_worker",
]

_EASY = random_points(12, seed=1)
_HARD = random_points(1000, seed=2)  # not proven within any time limit used here
_LONG_S = 120.0
_KILLED_LIMIT_S = 30.0
_FEED_TAG = "from:feed-check"
# Runs in the container of the API, which has a websocket client; every wait has an end.
_FEED_READER = """
import json, sys
from websockets.sync.client import connect

key, tag = sys.argv[1:]
header = {"Authorization": "Bearer " + key}
with connect("ws://127.0.0.1:8000/live", additional_headers=header) as feed:
    feed.send(json.dumps({"type": "subscribe", "tag": tag}))
    while True:
        message = json.loads(feed.recv(timeout=30))
        if message["type"] == "subscribed":
            print("subscribed")
        elif message["type"] == "event":
            print(message["event"]["type"])
            if message["event"]["type"] in {"job.completed", "job.failed", "job.cancelled"}:
                break
"""


def refuses_strangers(trial: Trial) -> str:
    """No call without a key, none with a wrong one, no other tenant's job, no foreign host name.

    Metrics take their token and no key.
    """
    stranger = trial.stranger
    trial.key = trial.create_key("compose-check")
    wrong = Service(stranger.url, trial.key[:-1] + ("0" if trial.key[-1] != "0" else "1"))
    other = Service(stranger.url, trial.create_key("somebody-else"))
    task_id = trial.service.submit(_EASY, timeout_s=5)
    for method, path in (("GET", JOBS), ("POST", JOBS), ("GET", f"{JOBS}/{task_id}")):
        for caller in (stranger, wrong):
            answer = caller.call(method, path)
            require(answer.status == 401, f"{method} {path} was answered with {answer}")
    require(other.call("GET", f"{JOBS}/{task_id}").status == 404, "a job of another tenant shows")
    require(trial.service.wait_ended(task_id, within_s=30)["status"] == "Completed", "no answer")
    foreign = stranger.call("GET", "/healthz", headers={"Host": "evil.example"})
    require(foreign.status == 400, f"the host name evil.example was answered with {foreign}")
    require(stranger.call("GET", "/readyz").body["ready"], "not ready")
    prometheus = Service(stranger.url, trial.stack.passwords()["OPTIMIZED_TSP_METRICS_TOKEN"])
    for caller, status in ((stranger, 401), (trial.service, 401), (prometheus, 200)):
        answer = caller.call("GET", "/metrics")
        require(answer.status == status, f"/metrics was answered with {answer}")
    return ""


def solves(trial: Trial) -> str:
    """A job from outside: proven optimal, watched to its end, its tour measured here."""
    since = time.monotonic()
    task_id = trial.service.submit(_EASY, timeout_s=20, tags={"from": "compose-check"})
    events = list(trial.service.stream(task_id))
    took_s = time.monotonic() - since
    _require_sound(events)
    solution = trial.service.solution(task_id)
    require(solution["solution_status"] == "optimal", f"not proven: {solution}")
    length = length_of(_EASY, solution["node_order"])
    require(length == solution["cost"], f"the tour has length {length}: {solution}")
    return f"12 points, optimal {length} after {took_s:.2f} s, {len(events)} events seen"


def feeds(trial: Trial) -> str:
    """The websocket tells a job's whole story to who subscribed before."""
    reader = trial.stack.start_compose(
        "exec", "-T", "api", "python", "-u", "-c", _FEED_READER, trial.key, _FEED_TAG
    )
    with reader:
        if reader.stdout is None or reader.stdout.readline() != "subscribed\n":
            raise CheckFailed("the websocket does not answer a subscription")
        key, _, text = _FEED_TAG.partition(":")
        task_id = trial.service.submit(_EASY, timeout_s=20, tags={key: text})
        seen = reader.stdout.read().split()
    events = trial.service.call("GET", f"{JOBS}/{task_id}/events").body
    told = [event["type"] for event in events]
    require(seen == told, f"the websocket told {seen}, the events are {told}")
    return f"{len(seen)} events"


def uses_every_worker(trial: Trial) -> str:
    """Two jobs run in two containers; after scaling up, a third job in a third one."""
    stack, service = trial.stack, trial.service
    tasks = [service.submit(_HARD, timeout_s=_LONG_S) for _ in range(3)]
    for task_id in tasks[:2]:
        service.wait_for_tour(task_id)
    require(service.job(tasks[2])["queue_position"] == 1, "the third job does not wait")
    since = time.monotonic()
    stack.compose("up", "--detach", "--no-recreate", "--scale", "worker=3")
    service.wait_for_tour(tasks[2])
    took_s = time.monotonic() - since
    homes = {trial.worker_of(task_id).id for task_id in tasks}
    require(len(homes) == 3, "two jobs share a container")
    for task_id in tasks:
        cancelled = service.cancel(task_id)
        require(cancelled["status"] == "Cancelled" and cancelled["cost"], f"{cancelled}")
        length_of(_HARD, service.solution(task_id)["node_order"])
    trial.bring_back()
    return f"a third worker had its first tour {took_s:.1f} s after `up --scale`"


def gives_back_when_stopped(trial: Trial) -> str:
    """A worker that is stopped stores its tour and gives the job back at once; no attempt."""
    service = trial.service
    task_id = service.submit(_HARD, timeout_s=_LONG_S)
    before = service.wait_for_tour(task_id)
    worker = trial.worker_of(task_id)
    since = time.monotonic()
    trial.stack.docker("stop", worker.id)  # with the grace period of the container
    stopped_s = time.monotonic() - since
    until(
        lambda: service.job(task_id)["status"] == "Running",
        within_s=10,
        what="the other worker goes on",
    )
    taken_s = time.monotonic() - since
    require(trial.worker_of(task_id).id != worker.id, "the stopped worker still has the job")
    ended = next(one for one in trial.stack.containers("worker") if one.id == worker.id)
    require(ended.state["ExitCode"] == 0, f"the worker ended with {ended.state}")
    job = service.cancel(task_id)
    require(job["attempt"] == 1, f"giving back counted as an attempt: {job}")
    require(job["cost"] <= before["cost"], f"the tour got worse: {before} then {job}")
    trial.bring_back()
    return f"stopped in {stopped_s:.1f} s, the other worker had the job after {taken_s:.1f} s"


def survives_a_killed_worker(trial: Trial) -> str:
    """kill -9 of the container that solves: the other one ends the job, once, no worse."""
    service = trial.service
    task_id = service.submit(_HARD, timeout_s=_KILLED_LIMIT_S, name="killed")
    service.wait_for_tour(task_id)
    worker = trial.worker_of(task_id)
    trial.stack.docker("kill", "--signal", "KILL", worker.id)
    since = time.monotonic()
    before = service.job(task_id)
    until(lambda: service.job(task_id)["attempt"] == 2, within_s=40, what="the job is rescued")
    rescued_s = time.monotonic() - since
    require(trial.worker_of(task_id).id != worker.id, "a dead container has the job")
    job = service.wait_ended(task_id, within_s=_KILLED_LIMIT_S + 20)
    require(job["status"] == "Completed", f"{job}")
    require(job["cost"] <= before["cost"], f"the tour got worse: {before} then {job}")
    solution = service.solution(task_id)
    require(length_of(_HARD, solution["node_order"]) == solution["cost"], "a wrong cost")
    _require_sound(service.call("GET", f"{JOBS}/{task_id}/events?limit=1000").body)
    query = "SELECT status, attempt, crashes FROM jobs WHERE task_id = :'task_id'"
    row = trial.stack.report(query, task_id=task_id)
    require(row.stdout.strip() == "Completed|2|1", f"the report says {row.stdout}")
    trial.bring_back()
    return (
        f"rescued {rescued_s:.1f} s after the kill, cost {before['cost']} when killed, "
        f"{job['cost']} at the end"
    )


def keeps_solving_while_servers_restart(trial: Trial) -> str:
    """Redis and Postgres restart in the middle of a solve: it goes on, the same attempt."""
    service = trial.service
    task_id = service.submit(_HARD, timeout_s=_LONG_S)
    service.wait_for_tour(task_id)
    trial.stack.compose("restart", "redis")
    trial.stack.compose("restart", "postgres")
    trial.stack.wait_settled()
    other = service.submit(_EASY, timeout_s=20)
    require(service.wait_ended(other, within_s=30)["solution_status"] == "optimal", "no answer")
    require(service.job(task_id)["status"] == "Running", "the solve was lost")
    job = service.cancel(task_id)
    require(job["attempt"] == 1, f"the solve was interrupted: {job}")
    _require_sound(service.call("GET", f"{JOBS}/{task_id}/events?limit=1000").body)
    return ""


def upgrades(trial: Trial) -> str:
    """Migrated while the old version serves; then API and workers are replaced in mid-solve."""
    service, stack = trial.service, trial.stack
    task_id = service.submit(_HARD, timeout_s=_LONG_S)
    before = service.wait_for_tour(task_id)
    stack.compose("run", "--rm", "migrate")
    require(service.job(task_id)["status"] == "Running", "the migration disturbed a solve")
    old = {one.id for one in stack.containers("api", "worker")}
    since = time.monotonic()
    stack.compose("up", "--detach", "--no-deps", "--force-recreate", "api", "worker")
    stack.wait_settled()
    settled_s = time.monotonic() - since
    require(not old & {one.id for one in stack.containers("api", "worker")}, "nothing was replaced")
    until(
        lambda: service.job(task_id)["status"] == "Running",
        within_s=60,
        what="a new worker goes on",
    )
    job = service.cancel(task_id)
    require(job["attempt"] == 1, f"the upgrade counted as an attempt: {job}")
    require(job["cost"] <= before["cost"], f"the tour got worse: {before} then {job}")
    return f"all healthy {settled_s:.1f} s later"


def takes_jobs_without_redis(trial: Trial) -> str:
    """With Redis stopped jobs are accepted and solved, only later."""
    trial.stack.compose("stop", "redis")
    since = time.monotonic()
    task_id = trial.service.submit(_EASY, timeout_s=20)
    job = trial.service.wait_ended(task_id, within_s=40)
    took_s = time.monotonic() - since
    require(job["solution_status"] == "optimal", f"{job}")
    trial.bring_back()
    return f"solved after {took_s:.1f} s"


def _require_sound(events: list[dict[str, Any]]) -> None:
    """Numbers without a gap, costs that only fall, exactly one end, and it is last."""
    numbers = [event["seq"] for event in events]
    require(numbers == list(range(1, len(events) + 1)), f"the events have the numbers {numbers}")
    ends = {f"job.{status.lower()}" for status in TERMINAL}
    ended = [event["seq"] for event in events if event["type"] in ends]
    require(ended == [len(events)], f"of {len(events)} events these are the end: {ended}")
    costs = [event["data"]["cost"] for event in events if event["type"] == "job.incumbent"]
    require(costs == sorted(costs, reverse=True), f"costs rise: {costs}")

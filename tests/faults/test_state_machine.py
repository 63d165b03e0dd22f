"""Anything that callers and faults do, in any order, against a model of the table of states."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Any

import httpx
import psutil
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from optimized_tsp.jobs.states import TERMINAL, TRANSITIONS, JobStatus
from tests.faults.cluster import LEASE_S, Cluster
from tests.faults.traffic import ODD_PATH, odd

_PATIENCE_S = 60.0


def _reachable(status: JobStatus) -> set[JobStatus]:
    """The statuses that may follow, after any number of steps."""
    found, open_ends = {status}, [status]
    while open_ends:
        source = open_ends.pop()
        for a, b in TRANSITIONS:
            if a is source and b not in found:
                found.add(b)
                open_ends.append(b)
    return found


class JobsMachine(RuleBasedStateMachine):
    """`seen` holds the last status of every job that the model knows; what ended stays so."""

    jobs: Bundle[str] = Bundle("jobs")

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster
        self._http = httpx.Client(base_url=cluster.urls[0], timeout=30)
        self._seen: dict[str, JobStatus] = {}
        self._cancelled: set[str] = set()

    @rule(target=jobs, behaviour=st.sampled_from(["prove", "polite", "infeasible"]))
    def submit(self, behaviour: str) -> str:
        answer = self._http.post(ODD_PATH, json=odd(behaviour, timeout_s=30))
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        job = str(answer.json()["task_id"])
        self._seen[job] = JobStatus.SUBMITTED
        return job

    @rule(job=jobs)
    def read(self, job: str) -> None:
        self._look(job)

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        answer = self._http.post(f"{ODD_PATH}/{job}/cancel")
        assert answer.status_code in {httpx.codes.OK, httpx.codes.ACCEPTED}, answer.text
        self._cancelled.add(job)
        self._take(job, answer.json())

    @rule(target=jobs, job=consumes(jobs), purge=st.booleans())
    def delete(self, job: str, purge: bool) -> Any:  # noqa: FBT001 - drawn
        before = self._look(job)
        answer = self._http.delete(f"{ODD_PATH}/{job}", params={"purge": str(purge).lower()})
        self._cancelled.add(job)
        if answer.status_code == httpx.codes.NO_CONTENT:
            assert purge or before is not JobStatus.CANCELLED
            assert self._http.get(f"{ODD_PATH}/{job}").status_code == httpx.codes.NOT_FOUND
            del self._seen[job]
            return multiple()
        assert not purge
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        self._take(job, answer.json())
        return job

    @precondition(lambda self: self._seen)
    @rule()
    def kill_a_worker(self) -> None:
        worker = self._cluster.workers[0]
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        worker.kill()
        worker.start()

    @precondition(lambda self: self._cluster.solver_children())
    @rule()
    def kill_a_solver(self) -> None:
        with suppress(psutil.NoSuchProcess, IndexError):
            self._cluster.solver_children()[0].kill()

    @invariant()
    def the_list_shows_what_is_there(self) -> None:
        listed = self._http.get(ODD_PATH, params={"limit": "200"}).json()
        shown = {view["task_id"]: view for view in listed}
        for job in self._seen:
            assert job in shown
            self._take(job, shown[job])

    def teardown(self) -> None:
        """In the end everything has ended, as it should, with one last event."""
        for job in self._seen:
            if self._look(job) not in TERMINAL:
                self.cancel(job)
        deadline = time.monotonic() + _PATIENCE_S + 3 * LEASE_S
        for job in self._seen:
            while self._look(job) not in TERMINAL:
                assert time.monotonic() < deadline, self._seen
                time.sleep(0.05)
            events = self._http.get(f"{ODD_PATH}/{job}/events").json()
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            last = f"job.{self._seen[job].value.lower()}"
            assert [event["type"] for event in events].count(last) == 1
            assert events[-1]["type"] == last
        self._http.close()

    def _look(self, job: str) -> JobStatus:
        answer = self._http.get(f"{ODD_PATH}/{job}")
        assert answer.status_code == httpx.codes.OK, answer.text
        return self._take(job, answer.json())

    def _take(self, job: str, view: dict[str, Any]) -> JobStatus:
        """What is shown must be reachable from what was shown before."""
        status = JobStatus(view["status"])
        assert status in _reachable(self._seen[job]), (self._seen[job], status)
        if status is JobStatus.CANCELLED:
            assert job in self._cancelled
        if status is JobStatus.FAILED:
            assert "3 crashes" in view["error"]
        self._seen[job] = status
        return status


def test_any_order_of_calls_and_kills_follows_the_table_of_states(cluster: Cluster) -> None:
    class OnThisCluster(JobsMachine):
        def __init__(self) -> None:
            super().__init__(cluster)

    run_state_machine_as_test(
        OnThisCluster,
        settings=settings(
            max_examples=6,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )

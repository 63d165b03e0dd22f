"""The oracle can fail: it is told an honest story, and then the same story with one thing false."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson
import pytest

from tests.faults.cluster import Cluster
from tests.faults.faults import CAN_CRASH_JOBS, FAULTS, Injection
from tests.faults.oracle import Answer, EventRow, Evidence, JobRow, Witnesses, judge
from tests.faults.traffic import Traffic, Watcher
from tests.webhooks.receiver import Received, Receiver, answer

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NO_CLUSTER = cast("Cluster", None)
SQUARE = {"coordinates": [[0, 0], [0, 5], [5, 5], [5, 0]], "metric": "EUC_2D"}
TOUR = {"node_order": [0, 1, 2, 3], "cost": 20}
SOLVED, CRASHED, CANCELLED = (UUID(int=number) for number in (1, 2, 3))

HISTORIES: dict[UUID, tuple[str, list[tuple[str, dict[str, Any]]]]] = {
    SOLVED: (
        "Completed",
        [
            ("submitted", {}),
            ("started", {"attempt": 1}),
            ("incumbent", {"cost": 24}),
            ("completed", {"cost": 20}),
        ],
    ),
    CRASHED: (
        "Completed",
        [
            ("submitted", {}),
            ("started", {"attempt": 1}),
            ("incumbent", {"cost": 20}),
            ("started", {"attempt": 2}),
            ("completed", {"cost": 20}),
        ],
    ),
    CANCELLED: ("Cancelled", [("submitted", {}), ("cancelled", {"cost": None})]),
}


@dataclass
class Case:
    """What the oracle is told."""

    jobs: dict[UUID, JobRow] = field(default_factory=dict)
    events: list[EventRow] = field(default_factory=list)
    answers: dict[UUID, Answer] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=lambda: Traffic(NO_CLUSTER, random.Random(1)))
    watcher: Watcher = field(default_factory=lambda: Watcher(NO_CLUSTER, 0))
    hooks: Receiver = field(default_factory=lambda: Receiver(answer(200)))
    injections: list[Injection] = field(default_factory=list)
    logs: str = '{"event": "request", "status": 503}\nnot JSON\n'

    def wrong(self) -> list[str]:
        evidence = Evidence(list(self.jobs.values()), self.events, self.answers)
        witnesses = Witnesses(self.traffic, [self.watcher], self.hooks)
        return judge(evidence, witnesses, self.injections, self.logs).wrong

    def change(self, job: UUID, **columns: Any) -> None:
        self.jobs[job] = replace(self.jobs[job], **columns)

    def change_event(self, job: UUID, seq: int, **columns: Any) -> None:
        """Change an event in the log and everywhere it was told."""
        number = next(n for n, e in enumerate(self.events) if (e.job_id, e.seq) == (job, seq))
        self.events[number] = replace(self.events[number], **columns)
        self.tell()

    def tell(self) -> None:
        """Whoever follows is told of the events that are in the log."""
        self.watcher.events = [
            {"task_id": str(e.job_id), "seq": e.seq, "type": e.type, "data": e.data}
            for e in self.events
        ]
        self.hooks.received = [
            hook(f"msg-{n}", e.job_id, e.seq, e.type) for n, e in enumerate(self.events)
        ]


def hook(identity: str, job: UUID, seq: int, kind: str) -> Received:
    body = {"type": kind, "data": {"task_id": str(job), "seq": seq}}
    return Received("/hook", {"webhook-id": identity}, orjson.dumps(body), 0.0)


@pytest.fixture
def case() -> Case:
    """Nothing is wrong: one job is solved at once, one after a crash, one is cancelled."""
    case = Case()
    for number, (job, (status, events)) in enumerate(HISTORIES.items()):
        crashes = int(job == CRASHED)
        attempt = sum(kind == "started" for kind, _ in events)
        name, payload = f"job {number}", orjson.dumps(SQUARE)
        case.jobs[job] = JobRow(
            job, "tsp", "v1", name, status, attempt, crashes, len(events), None, payload
        )
        case.traffic.accepted.append(str(job))
        case.traffic.bodies[str(job)] = {"name": name, "tsp_instance": SQUARE}
        case.traffic.paths[str(job)] = "/tsp_solver/v1/jobs"
        for seq, (kind, data) in enumerate(events, 1):
            at = NOON + timedelta(minutes=number, seconds=seq)
            position = len(case.events) + 1
            case.events.append(EventRow(job, seq, f"job.{kind}", position, at, data))
    case.traffic.cancelled.add(str(CANCELLED))
    case.answers = {job: Answer(dict(TOUR), 20) for job in (SOLVED, CRASHED)}
    case.answers[CANCELLED] = Answer(None, None)
    crash = NOON + timedelta(minutes=1, seconds=3)
    case.injections = [Injection("kill_worker", crash, crash)]
    case.tell()
    return case


def test_an_honest_story_is_believed(case: Case) -> None:
    assert case.wrong() == []


def lose_job(case: Case) -> None:
    del case.jobs[SOLVED]
    case.events = [event for event in case.events if event.job_id != SOLVED]
    case.tell()


def lose_row_of_job(case: Case) -> None:
    del case.jobs[SOLVED]
    case.traffic.accepted.remove(str(SOLVED))


def double_job(case: Case) -> None:
    """One submission, two jobs."""
    case.traffic.accepted.remove(str(SOLVED))


def answer_two_submissions_with_one_job(case: Case) -> None:
    case.traffic.accepted.append(str(SOLVED))


def mix_up_jobs(case: Case) -> None:
    """Two submissions of one transaction are told of each other's job."""
    bodies = case.traffic.bodies
    one, two = str(SOLVED), str(CRASHED)
    bodies[one], bodies[two] = bodies[two], bodies[one]


def mix_up_instances(case: Case) -> None:
    case.change(SOLVED, payload=orjson.dumps(SQUARE | {"metric": "MAN_2D"}))


def give_it_to_another_version(case: Case) -> None:
    """Which would have solved it, too."""
    case.change(SOLVED, version="v2_experimental")


def leave_a_gap_in_seq(case: Case) -> None:
    case.events = [e for e in case.events if (e.job_id, e.seq) != (SOLVED, 3)]
    case.tell()


def swap_events(case: Case) -> None:
    case.events[1], case.events[2] = case.events[2], case.events[1]
    case.tell()


def count_too_many_events(case: Case) -> None:
    case.change(SOLVED, last_seq=5)


def end_twice(case: Case) -> None:
    last = case.events[3]
    case.events.insert(4, replace(last, seq=5))
    case.change(SOLVED, last_seq=5)
    case.tell()


def go_on_after_the_end(case: Case) -> None:
    case.events.insert(4, replace(case.events[2], seq=5, data={"cost": 20}))
    case.change(SOLVED, last_seq=5)
    case.tell()


def never_end(case: Case) -> None:
    case.change(SOLVED, status="Running")


def end_otherwise_than_told(case: Case) -> None:
    case.change_event(SOLVED, 4, type="job.failed")


def forget_the_place_in_the_feed(case: Case) -> None:
    case.change_event(SOLVED, 4, position=None)


def cancel_unasked(case: Case) -> None:
    case.traffic.cancelled.clear()


def fail_without_crashes(case: Case) -> None:
    case.change(SOLVED, status="Failed", error="Something else.")
    case.change_event(SOLVED, 4, type="job.failed")


def complete_the_doomed(case: Case) -> None:
    case.traffic.bodies[str(SOLVED)]["tags"] = {"kind": "doomed"}


def complete_without_answer(case: Case) -> None:
    del case.answers[SOLVED]
    case.change_event(SOLVED, 3, data={})
    case.change_event(SOLVED, 4, data={})


def leave_the_answer_open(case: Case) -> None:
    case.answers[SOLVED] = replace(case.answers[SOLVED], final=False)


def lose_the_best_solution(case: Case) -> None:
    case.change_event(SOLVED, 3, data={"cost": 19})


def tell_another_cost(case: Case) -> None:
    case.change_event(SOLVED, 4, data={"cost": 21})


def miss_a_node(case: Case) -> None:
    case.answers[SOLVED] = Answer({"node_order": [0, 1, 2], "cost": 20}, 20)


def miscount_the_cost(case: Case) -> None:
    case.answers[SOLVED] = Answer({"node_order": [0, 2, 1, 3], "cost": 20}, 20)


def prove_too_much(case: Case) -> None:
    case.answers[SOLVED] = replace(case.answers[SOLVED], lower_bound=21)


def crash_unexplained(case: Case) -> None:
    case.injections = [replace(case.injections[0], begin=NOON, end=NOON)]


def attempt_without_crash(case: Case) -> None:
    case.change(SOLVED, attempt=2)


def crash_without_attempt(case: Case) -> None:
    case.change(CRASHED, attempt=0)


def miss_an_event_on_the_feed(case: Case) -> None:
    del case.watcher.events[3]


def see_an_event_twice(case: Case) -> None:
    case.watcher.events.insert(3, case.watcher.events[2])


def see_events_out_of_order(case: Case) -> None:
    """Each job's events are in order, and the feed is not."""
    case.watcher.events = case.watcher.events[4:] + case.watcher.events[:4]


def hear_something_else(case: Case) -> None:
    case.watcher.events[2] = case.watcher.events[2] | {"data": {"cost": 23}}


def miss_a_webhook(case: Case) -> None:
    del case.hooks.received[3]


def deliver_under_two_ids(case: Case) -> None:
    case.hooks.received.append(hook("another", SOLVED, 4, "job.completed"))


def deliver_two_under_one_id(case: Case) -> None:
    """A receiver that knows the id already would take no notice of the second."""
    case.hooks.received[3] = hook(case.hooks.received[2].id, SOLVED, 4, "job.completed")


def deliver_what_never_happened(case: Case) -> None:
    case.hooks.received.append(hook("another", SOLVED, 9, "job.completed"))


def refuse_a_request(case: Case) -> None:
    case.traffic.refused.append("POST /tsp_solver/v1/jobs: 500")


def log_a_defect(case: Case) -> None:
    case.logs += '{"event": "unexpected_error", "path": "/live"}\n'


FALSE: dict[Callable[[Case], None], str] = {
    lose_job: "accepted and is gone",
    lose_row_of_job: "which does not exist",
    double_job: "made for nobody",
    answer_two_submissions_with_one_job: "made for 2 submissions",
    mix_up_jobs: "not what was submitted",
    mix_up_instances: "not what was submitted",
    give_it_to_another_version: "and is of v2_experimental",
    leave_a_gap_in_seq: "has the events [1, 2, 4]",
    swap_events: "has the events [1, 3, 2, 4]",
    count_too_many_events: "counts 5 events and has 4",
    end_twice: "ended at [4, 5] of 5 events",
    go_on_after_the_end: "ended at [4] of 5 events",
    never_end: "is still Running",
    end_otherwise_than_told: "is Completed and its last event job.failed",
    forget_the_place_in_the_feed: "without a place in the feed",
    cancel_unasked: "cancelled by nobody",
    fail_without_crashes: "failed after 0 crashes: Something else.",
    complete_the_doomed: "though its solver crashes always",
    complete_without_answer: "completed without an answer",
    leave_the_answer_open: "not final",
    lose_the_best_solution: "told of costs [19, 20]",
    tell_another_cost: "told of 21 and has a solution of 20",
    miss_a_node: "has a wrong solution",
    miscount_the_cost: "has a wrong solution",
    prove_too_much: "bound 21 above its cost 20",
    crash_unexplained: "and nothing had happened",
    attempt_without_crash: "took 2 attempts with 0 crashes",
    crash_without_attempt: "took 0 attempts with 1 crashes",
    miss_an_event_on_the_feed: "1 missing, 0 twice, in order",
    see_an_event_twice: "0 missing, 1 twice",
    see_events_out_of_order: "0 missing, 0 twice, out of order",
    hear_something_else: "told 1 events differently",
    miss_a_webhook: "were not delivered to the webhook",
    deliver_under_two_ids: "with several ids",
    deliver_two_under_one_id: "stand for several events",
    deliver_what_never_happened: "that never happened",
    refuse_a_request: "jobs: 500",
    log_a_defect: "unexpected_error",
}


@pytest.mark.parametrize("falsify", FALSE, ids=lambda falsify: falsify.__name__)
def test_a_falsified_story_is_not_believed(case: Case, falsify: Callable[[Case], None]) -> None:
    falsify(case)

    assert any(FALSE[falsify] in wrong for wrong in case.wrong()), case.wrong()


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - CAN_CRASH_JOBS))
def test_a_fault_that_ends_no_run_explains_no_crash(case: Case, fault: str) -> None:
    case.injections = [replace(case.injections[0], name=fault)]

    assert any("and nothing had happened" in wrong for wrong in case.wrong()), case.wrong()

"""Dead processes come back; ones that keep dying raise an alarm; signals wait for their turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimized_tsp.embedded import supervisor as supervisor_module
from optimized_tsp.embedded.process import Order, Process, wait_until
from optimized_tsp.embedded.supervisor import SignalWatch, StopRequested, Supervisor
from tests.shortages import files_of_at_most

SLEEP = Order(command=("/bin/sleep", "600"))
FALSE = Order(command=("/bin/false",))


@pytest.fixture
def watch() -> Iterator[SignalWatch]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the run itself may be under nohup
    with SignalWatch() as watch:
        yield watch
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(watch: SignalWatch, said: list[str]) -> Supervisor:
    return Supervisor(watch, said.append)


def test_a_killed_process_is_started_again(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    process = Process("Valkey", SLEEP, tmp_path / "valkey.log")
    process.start()
    supervisor.keep_running([process])
    killed = process.pid
    try:
        process.send(signal.SIGKILL)
        assert wait_until(
            lambda: process.pid != killed and process.is_running(),
            timeout_s=30,
            pause=supervisor.pause,
        )
    finally:
        process.kill()
    assert said == ["Valkey ended with SIGKILL; starting it again"]


def test_a_process_that_keeps_dying_is_reported_with_its_log(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    process = Process("worker 1", FALSE, tmp_path / "worker-1.log")
    process.start()
    supervisor.keep_running([process])
    assert wait_until(lambda: supervisor.keeps_dying(process), timeout_s=30, pause=supervisor.pause)
    assert said[0] == "worker 1 ended with exit status 1; starting it again"
    assert said[-1].startswith("worker 1 keeps dying: it ended with exit status 1.")
    assert str(process.log) in said[-1]


def test_a_process_that_cannot_be_started_again_is_tried_again(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "worker-1.log"
    log.parent.mkdir()
    process = Process("worker 1", SLEEP, log)
    process.start()
    supervisor.keep_running([process])
    log.unlink()
    log.parent.rmdir()
    process.send(signal.SIGKILL)
    assert wait_until(
        lambda: any("cannot be started" in line for line in said),
        timeout_s=30,
        pause=supervisor.pause,
    )

    log.parent.mkdir()

    assert wait_until(process.is_running, timeout_s=30, pause=supervisor.pause)
    process.kill()


def test_a_log_is_emptied_also_when_the_disk_has_no_room_for_its_older_part(
    supervisor: Supervisor,
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor_module, "_LOG_CHECK_S", 0.0)
    process = Process("API", SLEEP, tmp_path / "api.log")
    process.start()
    supervisor.keep_running([process])
    try:
        with files_of_at_most(2**20):
            for _ in range(2):
                with files_of_at_most(9 * 2**20):
                    os.truncate(process.log, 9 * 2**20)
                supervisor.pause(0)
                assert process.log.stat().st_size == 0
        assert process.is_running()
    finally:
        process.kill()
    [once] = said
    assert once.startswith(f"{process.log} was too large, and its older part could not be kept:")
    assert "File too large" in once
    assert list(tmp_path.iterdir()) == [process.log]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_is_taken_while_waiting(
    watch: SignalWatch, number: signal.Signals
) -> None:
    signal.raise_signal(number)  # to this thread: those of other tests block nothing
    with pytest.raises(StopRequested) as request:
        watch.pause(5)
    assert request.value.number is number


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalWatch() as watch:
            signal.raise_signal(signal.SIGHUP)  # to this thread: those of other tests block nothing
            watch.pause(0)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_impatient_signals_do_not_strike_after_the_watch() -> None:
    with SignalWatch():
        signal.raise_signal(signal.SIGINT)  # to this thread: those of other tests block nothing
    assert not signal.sigpending()

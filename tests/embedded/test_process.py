"""Starting, watching and stopping one program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from optimized_tsp.embedded.errors import ProcessFailed
from optimized_tsp.embedded.process import Order, Process, bound_log, run, stop_all, wait_until
from tests.stack import is_gone

STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


def python(code: str, *, stdin: str | None = None) -> Order:
    return Order(command=(sys.executable, "-c", code), stdin=stdin)


def test_what_a_program_says_is_returned() -> None:
    order = python("import sys; print(sys.stdin.read().upper())", stdin="secret")
    assert run(order, name="shout", timeout_s=30) == "SECRET\n"


def test_a_lot_of_output_does_not_block() -> None:
    assert len(run(python("print('x' * 1_000_000)"), name="loud", timeout_s=30)) == 1_000_001


def test_a_failing_program_is_quoted() -> None:
    with pytest.raises(ProcessFailed, match=r"setup ended with exit status 3:\n    no disk left"):
        run(python("print('no disk left'); exit(3)"), name="setup", timeout_s=30)


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ProcessFailed, match="setup took too long"):
        run(Order(command=("/bin/sleep", "600")), name="setup", timeout_s=0.2)


def test_a_program_that_dies_while_it_starts_shows_its_log(tmp_path: Path) -> None:
    order = python("exit('port taken')")
    process = Process("API", order, tmp_path / "api.log", is_ready=lambda _: False)
    process.start()
    with pytest.raises(ProcessFailed, match=r"(?s)API ended with exit status 1.*port taken"):
        process.wait_ready(timeout_s=30)


def test_a_program_that_never_gets_ready_is_told_from_a_dead_one(tmp_path: Path) -> None:
    order = Order(command=("/bin/sleep", "600"))
    process = Process("API", order, tmp_path / "api.log", is_ready=lambda _: False)
    process.start()
    try:
        with pytest.raises(ProcessFailed, match="API was not ready after"):
            process.wait_ready(timeout_s=0.2)
    finally:
        process.kill()


def test_stopping_kills_what_does_not_stop_with_all_it_started(tmp_path: Path) -> None:
    stubborn = Process("stubborn", python(STUBBORN), tmp_path / "stubborn.log")
    stubborn.start()
    assert wait_until(lambda: stubborn.log.read_text().endswith("\n"), timeout_s=30)
    grandchild = psutil.Process(int(stubborn.log.read_text()))

    stop_all([stubborn], grace_s=0.2)

    assert not stubborn.is_running()
    assert wait_until(lambda: is_gone(grandchild), timeout_s=30)


def test_a_log_that_grew_too_large_is_moved_aside_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    writer = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.truncate(log, 9 * 2**20)

    bound_log(log)
    os.write(writer, b"still here")

    assert log.read_bytes() == b"still here"
    assert (tmp_path / "api.log.1").stat().st_size == 9 * 2**20
    os.close(writer)

"""What supervises everything goes on when nobody hears what it says any more."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SUPERVISE = """
import sys
from pathlib import Path

from optimized_tsp.cli.up import _say
from optimized_tsp.embedded.process import Order, Process, wait_until
from optimized_tsp.embedded.supervisor import SignalWatch, Supervisor

with SignalWatch() as watch:
    supervisor = Supervisor(watch, _say)
    process = Process("API", Order(command=("/bin/sleep", "600")), Path(sys.argv[1]))
    process.start()
    killed = process.pid
    supervisor.keep_running([process])
    process.send(9)
    wait_until(lambda: process.pid != killed, timeout_s=30, pause=supervisor.pause)
    started_again = process.pid != killed and process.is_running()
    process.kill()
    _say(f"Serving: {started_again}", on_stdout=True)
    Path(sys.argv[2]).write_text(str(started_again))
"""


def closed_pipe() -> int:
    """Where `tee` was, until it was killed."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end


def hung_up_terminal() -> int:
    terminal, ours = pty.openpty()
    os.close(terminal)
    return ours


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("output", [closed_pipe, hung_up_terminal, full_disk])
def test_what_died_is_started_again_whoever_hears_of_it(
    output: Callable[[], int], tmp_path: Path
) -> None:
    descriptor = output()
    files = [str(tmp_path / name) for name in ("api.log", "started_again")]
    command = [sys.executable, "-c", SUPERVISE, *files]
    try:
        ended = subprocess.run(
            command, stdout=descriptor, stderr=descriptor, check=False, timeout=60
        )
    finally:
        os.close(descriptor)

    assert (tmp_path / "started_again").read_text() == "True"
    assert ended.returncode == 0

"""A program started through the launcher cannot outlive whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from optimized_tsp.embedded import launch
from optimized_tsp.embedded.errors import ProcessFailed
from optimized_tsp.embedded.process import Order, Process, run, wait_until
from tests.stack import is_gone

PARENT = """
import sys, time
from optimized_tsp.embedded.process import Order, spawn
child = spawn(Order(command=("/bin/sleep", "600")), None)
print(child.pid, flush=True)
time.sleep(600)
"""


def python(code: str, *arguments: str) -> Order:
    return Order(command=(sys.executable, "-c", code, *arguments))


def test_the_child_of_a_killed_parent_dies() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        child = psutil.Process(int(parent.stdout.readline()))
        assert wait_until(lambda: child.name() == "sleep", timeout_s=30)

        parent.kill()
        parent.wait()

        assert wait_until(lambda: is_gone(child), timeout_s=30)


def test_a_child_that_was_orphaned_before_it_could_notice_does_not_start(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    command = Order(command=("/bin/touch", marker)).launcher_command()
    order = command[4].replace(str(os.getpid()), "1")

    subprocess.run([*command[:4], order, *command[5:]], check=True)

    assert not marker.exists()


def test_programs_start_in_the_root_folder_with_a_clean_signal_mask() -> None:
    code = (
        "import os, signal; print(os.getcwd(), signal.pthread_sigmask(signal.SIG_BLOCK, ()), "
        "os.getsid(0) == os.getpid())"
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        assert run(python(code), name="python", timeout_s=30) == "/ set() True\n"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_program_gets_a_path_to_its_folder(tmp_path: Path) -> None:
    order = replace(python("import sys; print(sys.argv[1])", "{folder}/data"), folder=tmp_path)
    assert run(order, name="python", timeout_s=30) == f"{tmp_path}/data\n"


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    order = Order(command=("/nonexistent/ghost",))
    process = Process("Ghost", order, tmp_path / "ghost.log", is_ready=lambda _: False)
    process.start()
    with pytest.raises(ProcessFailed, match=r"(?s)Ghost ended.*cannot start /nonexistent/ghost"):
        process.wait_ready(timeout_s=30)


def test_the_launcher_needs_nothing_but_the_standard_library() -> None:
    # It runs with -I -S: after the change of user this environment may be out of reach.
    source = Path(launch.__file__).read_text()
    imported = {line.split()[1] for line in source.splitlines() if line.startswith("import ")}
    assert imported <= set(sys.stdlib_module_names)
    assert "from optimized_tsp" not in source

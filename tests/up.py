"""`optimized-tsp up` as a person starts it, and the processes it consists of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from optimized_tsp.embedded.identity import HOST, free_port
from optimized_tsp.embedded.process import wait_until
from tests.promises import promised
from tests.stack import is_gone

SERVING_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 5.0
ORPHAN_TIMEOUT_S = 15.0

TRIANGLE = {"tsp_instance": {"matrix": [[0, 3, 4], [3, 0, 5], [4, 5, 0]]}}


class Up:
    """One `optimized-tsp up` on a data folder, started again as often as wanted.

    `before` goes in front of the command (`setpriv ...`); what it prints is kept in `output`.
    """

    def __init__(
        self,
        data_dir: Path,
        output: Path,
        *arguments: str,
        before: Sequence[str] = (),
        **settings: str,
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self._output = output
        self._command = [*before, sys.executable, "-m", "optimized_tsp.cli.main", "up"]
        self._command += ["--workers", "1", *arguments]
        self._env = os.environ | {
            "OPTIMIZED_TSP_DATA_DIR": str(data_dir),
            "OPTIMIZED_TSP_PORT": str(self.port),
            **settings,
        }
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://{HOST}:{self.port}"

    @property
    def said(self) -> str:
        """Everything it printed since the latest start."""
        return self._output.read_text()

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._popen is not None
        return self._popen.pid

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.launch()
        ended = wait_until(
            lambda: "Serving on" in self.said or self._exit_status() is not None,
            timeout_s=SERVING_TIMEOUT_S,
        )
        assert ended, self.said
        assert self._exit_status() is None, self.said

    def launch(self) -> None:
        """Start it."""
        with self._output.open("wb") as output:
            self._popen = subprocess.Popen(
                self._command, env=self._env, stdout=output, stderr=subprocess.STDOUT
            )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command with the same settings."""
        command = [sys.executable, "-m", "optimized_tsp.cli.main", *arguments]
        return subprocess.run(
            command, env=self._env, capture_output=True, text=True, check=False, timeout=90
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, which takes at most five seconds; return its exit status."""
        assert self._popen is not None
        with promised(STOP_TIMEOUT_S):
            self._popen.send_signal(number)
            return self._popen.wait(timeout=SERVING_TIMEOUT_S)

    def kill(self) -> None:
        """Kill the supervisor alone."""
        assert self._popen is not None
        self._popen.kill()
        self._popen.wait()

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        if self.is_running():
            left = self.processes()
            self.kill()
            assert all_gone(left)

    def processes(self) -> list[psutil.Process]:
        """Everything it started, in the order of the tree."""
        return list(psutil.Process(self.pid).children(recursive=True))

    def process(self, words: str) -> psutil.Process:
        """The child with these words in its command line."""
        return self.children(words)[0]

    def children(self, words: str) -> list[psutil.Process]:
        """Its own children with these words in their command line; ending ones have none."""
        found = []
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess):
                if words in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def submit(self) -> str:
        """Submit a small problem; return the job's path."""
        answer = httpx.post(f"{self.url}/tsp_solver/v1/jobs", json=TRIANGLE)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.headers["Location"])

    def status(self, path: str) -> str:
        """A job's status."""
        return str(httpx.get(self.url + path).raise_for_status().json()["status"])

    def is_ready(self) -> bool:
        """Whether the API says so."""
        try:
            return httpx.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False

    def is_running(self) -> bool:
        """Whether the supervisor lives."""
        return self._popen is not None and self._popen.poll() is None

    def _exit_status(self) -> int | None:
        assert self._popen is not None
        return self._popen.poll()


def all_gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether none of these runs any more, in time."""
    return wait_until(lambda: all(map(is_gone, processes)), timeout_s=ORPHAN_TIMEOUT_S)

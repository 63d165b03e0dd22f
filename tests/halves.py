"""`python -m tests.halves`: the whole suite as two runs side by side, each with its own servers.

Most of its time the suite waits: for processes to start, for leases to run out, for time limits.
Tests that kill and freeze processes or read a terminal follow one another in the first half; what
the second one prints is shown when both have ended. Further arguments go to pytest, in both.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
FIRST = ("worker", "faults", "embedded", "cli")
EVERYWHERE = ("-m", "not browser and not privileged")


def main() -> int:
    """Run both; 0 when both passed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    first = [f"tests/{folder}" for folder in FIRST]
    second = [f"--ignore={folder}" for folder in first]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        beside = _start(second, said)
        running = [beside]
        try:
            running.append(_start(first, None))
            codes = [run.wait() for run in reversed(running)]
        finally:
            for run in running:
                run.terminate()
        said.seek(0)
        sys.stdout.write(said.read())
    return next((code for code in codes if code), 0)


def _start(arguments: list[str], output: IO[str] | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", *EVERYWHERE, *arguments, *sys.argv[1:]]
    return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)


if __name__ == "__main__":
    sys.exit(main())

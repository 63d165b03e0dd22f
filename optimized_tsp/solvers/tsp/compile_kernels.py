"""`python -m optimized_tsp.solvers.tsp.compile_kernels`: compile all kernels into the cache.

Part of the installation, so that no process has to do it later. Says what it does on standard
error, one line; kernels that are compiled already only take the time to look.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from optimized_tsp.solvers.tsp.kernel_cache import kernel_files, mark_as_complete

__all__ = ["main"]

_ROOT = Path(__file__).parent
_PACKAGE = "optimized_tsp.solvers.tsp"
_SLOW_S = 1.0


def main() -> None:
    began, files = time.monotonic(), kernel_files()
    for number, file in enumerate(files, 1):
        _say(f"Preparing the solver: {number} of {len(files)} ({file.stem}) ...")
        name = ".".join(file.relative_to(_ROOT).with_suffix("").parts)
        importlib.import_module(f"{_PACKAGE}.{name}")
    mark_as_complete()
    taken = time.monotonic() - began
    _say(f"Solver ready after {taken:.0f} s." if taken > _SLOW_S else "", end="\n")


def _say(message: str, end: str = "") -> None:
    """In one line where somebody watches, in as many as needed where it is a file."""
    watched = sys.stderr.isatty()
    if message and (watched or end):
        sys.stderr.write(f"\r\x1b[K{message}{end}" if watched else f"{message}{end}")
    elif watched:
        sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


if __name__ == "__main__":
    main()

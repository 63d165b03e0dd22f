"""`optimized-tsp up`: the whole service in one process tree.

Exit status: 130 after Ctrl-C, 0 after SIGTERM or SIGHUP, 1 when it cannot run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress

from optimized_tsp import __version__
from optimized_tsp.core.config import Settings
from optimized_tsp.embedded.errors import EmbeddedError
from optimized_tsp.embedded.folder import DataFolder
from optimized_tsp.embedded.process import Order
from optimized_tsp.embedded.stack import Stack
from optimized_tsp.embedded.supervisor import SignalWatch, StopRequested

__all__ = ["run_up"]

_PR_SET_PDEATHSIG = 1
_EXIT_ERROR = 1
_EXIT_INTERRUPTED = 130


def run_up(settings: Settings, *, demo: bool, parent: int | None) -> int:
    """Run everything until asked to stop; return the exit status.

    `parent` is a process id: we stop when that process, our parent, ends.
    """
    if sys.platform != "linux":
        _say("`up` ties its programs together with Linux means. Elsewhere: docker compose up.")
        return _EXIT_ERROR
    if parent is not None and not _stop_with(parent):
        return 0
    try:
        with SignalWatch() as watch, DataFolder(settings.data_dir) as folder:
            return _run(settings, folder, watch, demo=demo)
    except EmbeddedError as error:
        _say(f"optimized-tsp: {error}")
    except PermissionError as error:
        _say(f"optimized-tsp: {error}. Set OPTIMIZED_TSP_DATA_DIR to a folder of your own.")
    except OSError as error:
        _say(f"optimized-tsp: {error}")
    return _EXIT_ERROR


def _run(settings: Settings, folder: DataFolder, watch: SignalWatch, *, demo: bool) -> int:
    started_at = time.monotonic()
    stack = Stack(settings, folder, watch, _say)
    try:
        _say(f"optimized-tsp {__version__}, data in {folder.path}")
        stack.start()
        _say(f"Ready after {time.monotonic() - started_at:.1f} s: {stack.api_url}")
        if demo and stack.host(_demo(stack.api_url)) != 0:
            _say("The example was not solved (see above); the service goes on.")
        _say(
            f"Serving on {stack.api_url}, documentation at {stack.api_url}/docs. "
            "Ctrl-C stops everything.",
            on_stdout=True,
        )
        stack.serve()
    except StopRequested as request:
        _say("Stopping ...")
        return _EXIT_INTERRUPTED if request.number is signal.SIGINT else 0
    finally:
        stack.stop()
    raise AssertionError("serve() returned")


def _demo(api_url: str) -> Order:
    command = (sys.executable, "-P", "-m", "optimized_tsp.cli.demo", api_url)
    return Order(command=command, env=os.environ, death_signal=signal.SIGTERM)


def _stop_with(parent: int) -> bool:
    """Ask the kernel for a SIGTERM when our parent ends; False when it has ended already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    return os.getppid() == parent


def _say(line: str, *, on_stdout: bool = False) -> None:
    """Tell the person in front of the terminal, on stderr unless asked otherwise.

    What we serve does not end because nobody hears us: a pipe whose reader is gone (`| tee`), a
    terminal hung up, a full disk.
    """
    stream = sys.stdout if on_stdout else sys.stderr
    if stream is None:  # closed by who started us
        return
    with suppress(OSError):
        # Not the stream itself: what it could not say it would try again at our end, and spoil the
        # exit status.
        os.write(stream.fileno(), f"{line}\n".encode(stream.encoding, "backslashreplace"))

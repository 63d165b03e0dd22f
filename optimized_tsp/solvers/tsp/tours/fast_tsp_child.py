"""One call of fast-tsp in a process of its own, which can be killed: run as a script.

Arguments: the process to die with, a file descriptor, nodes, when to end by `time.monotonic()`,
threads. The file has the weights (n, n) as uint16 and, behind them, room for the tour as int32.
Imports nothing of ours, so that it starts in a moment.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_SHORTEST_S = 0.01


def main() -> None:
    parent, descriptor, num_nodes, threads = (int(sys.argv[k]) for k in (1, 2, 3, 5))
    _die_with(parent)
    import fast_tsp
    import numpy as np

    memory = mmap.mmap(descriptor, 0)
    pairs = num_nodes * num_nodes
    weights = np.frombuffer(memory, np.uint16, pairs).reshape(num_nodes, num_nodes)
    tour = np.frombuffer(memory, np.int32, num_nodes, offset=4 * ((2 * pairs + 3) // 4))
    seconds = max(_SHORTEST_S, float(sys.argv[4]) - time.monotonic())
    tour[:] = fast_tsp.find_tour(weights, seconds, threads)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


if __name__ == "__main__":
    main()

"""fast-tsp (Or-opt and Lin-Kernighan on small integer weights) as a call that can be stopped.

It takes full symmetric matrices of weights 0..65535, no start tour and no stop, so costs are scaled
into that range here, and a call runs in a process of its own that is killed when nobody waits for
it any more. Tours are priced elsewhere: scaling can make them worse, not wrong.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.tours.edge_costs import COSTS, CostRule, Costs, edge_cost

__all__ = ["FastTspCall", "scaled_weights"]

Weights = NDArray[np.uint16]

_LARGEST = 65_535
_TOP = 60_000
_TOP_SPARSE = 7_500
_KILL_GRACE_S = 1.0


class FastTspCall:
    """A call that ends about when `time.monotonic()` is `ends`; `stop` ends it at once."""

    def __init__(self, weights: Weights, ends: float, threads: int) -> None:
        self._num_nodes = len(weights)
        self._offset = 4 * ((weights.nbytes + 3) // 4)
        descriptor = _anonymous_file()
        try:
            os.truncate(descriptor, self._offset + 4 * self._num_nodes)
            self._memory = mmap.mmap(descriptor, 0)
            np.frombuffer(self._memory, np.uint16, weights.size)[:] = weights.ravel()
            numbers = (os.getpid(), descriptor, self._num_nodes, ends, threads)
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    str(Path(__file__).with_name("fast_tsp_child.py")),
                    *map(str, numbers),
                ],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=2,
            )
        finally:
            os.close(descriptor)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def result(self) -> IntArray | None:
        """The tour of a call that has ended, None when it was stopped or found none."""
        if self._process.wait() != 0:
            return None
        order = np.frombuffer(self._memory, np.int32, self._num_nodes, offset=self._offset)
        return order.astype(np.int64)

    def stop(self) -> None:
        """End the process, whatever it does; nothing happens when it has ended already."""
        self._process.kill()
        self._process.wait(_KILL_GRACE_S)


def _anonymous_file() -> int:
    """A file in memory without a name (Linux), or in the folder for temporary files."""
    create = getattr(os, "memfd_create", None)
    if create is not None:
        return int(create("fast-tsp"))
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def scaled_weights(rule: CostRule, longest: int, *, complete: bool) -> Weights:
    """Weights in the order of the costs: exact where they fit, clipped above `longest`.

    Missing edges weigh far more than others. In a doubled graph the edges in every tour weigh 0,
    and all others have an offset that makes those worth using. (R. Jonker and T. Volgenant,
    "Transforming asymmetric into symmetric traveling salesman problems", 1983.)
    """
    top = _TOP if complete else _TOP_SPARSE
    offset = min(longest + 1, top // 8) if rule.mates[0] >= 0 else 0
    scale = min(1.0, (top - offset) / longest)
    return _weights(rule.costs, rule.mates, longest, scale, offset)


@kernel(f"uint16[:,::1]({COSTS}, int32[::1], int64, float64, int64)")
def _weights(
    costs: Costs, mates: NDArray[np.int32], longest: int, scale: float, offset: int
) -> Weights:
    n = len(mates)
    rule, matrix, points, missing = costs
    weights = np.zeros((n, n), np.uint16)
    for i in range(n):
        for j in range(i):
            if mates[i] == j:
                continue
            cost = edge_cost(rule, matrix, points, missing, i, j)
            weight = _LARGEST
            if missing == 0 or cost < missing:
                weight = int(min(cost, longest) * scale + 0.5) + offset
            weights[i, j] = weight
            weights[j, i] = weight
    return weights

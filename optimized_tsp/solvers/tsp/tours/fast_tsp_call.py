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
from optimized_tsp.solvers.tsp.tours.edge_costs import (
    COSTS,
    CostRule,
    Costs,
    edge_cost,
    plane_costs,
)

__all__ = ["FastTspCall", "scaled_weights"]

Weights = NDArray[np.uint16]

_LARGEST = 65_535
_TOP = 60_000
_TOP_SPARSE = 7_500
_CLIPPED_ABOVE = 10
_SAMPLED = 300
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


def scaled_weights(rule: CostRule, longest_in_tour: int | None, *, complete: bool) -> Weights:
    """Weights in the order of the costs, and equal to them where they fit.

    Otherwise they are scaled, those many times as long as the longest in a good tour clipped: not
    more than need be, since fast-tsp finds its neighbours by them. Missing edges weigh far more
    than others. In a doubled graph the edges in every tour weigh 0, and all others have an offset
    that makes those worth using. (R. Jonker and T. Volgenant, "Transforming asymmetric into
    symmetric traveling salesman problems", 1983.)
    """
    top = _TOP if complete else _TOP_SPARSE
    longest = max(1, _dearest(rule.costs, rule.mates))
    if longest_in_tour is not None:
        longest = min(longest, max(top, _CLIPPED_ABOVE * longest_in_tour))
    offset = min(longest + 1, top // 8) if rule.mates[0] >= 0 else 0
    scale = min(1.0, (top - offset) / longest)
    return _weights(rule.costs, rule.mates, longest, scale, offset)


@kernel(f"int64({COSTS}, int32[::1])")
def _dearest(costs: Costs, mates: NDArray[np.int32]) -> int:
    """About the largest cost of edges that are not missing: that of some hundred nodes' edges."""
    rule, matrix, points, missing = costs
    largest = 0
    for i in range(0, len(mates), len(mates) // _SAMPLED + 1):
        for j in range(len(mates)):
            if i == j:
                continue
            cost = edge_cost(rule, matrix, points, missing, i, j)
            if cost > largest and (missing == 0 or cost < missing):
                largest = cost
    return largest


@kernel(f"uint16[:,::1]({COSTS}, int32[::1], int64, float64, int64)")
def _weights(
    costs: Costs, mates: NDArray[np.int32], longest: int, scale: float, offset: int
) -> Weights:
    n = len(mates)
    rule, matrix, points, missing = costs
    weights = np.zeros((n, n), np.uint16)
    row = np.empty(n, np.int64)
    for i in range(n):
        if not plane_costs(costs, i, row):
            for j in range(n):
                if i != j:
                    row[j] = edge_cost(rule, matrix, points, missing, i, j)
        for j in range(n):
            weight = int(min(row[j], longest) * scale + 0.5) + offset
            weights[i, j] = _LARGEST if 0 < missing <= row[j] else weight
        weights[i, i] = 0
        if mates[i] >= 0:
            weights[i, mates[i]] = 0
    return weights

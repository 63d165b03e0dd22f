"""The path a Lin-Kernighan chain works on, without touching the tour.

Taking the edge (base, head) out of a tour leaves a path from head to base. A step joins the head to
a node on the path and takes out an edge there, which gives another path to the same base. However
long the tour, such a path is a few stretches of it, some of them walked backwards: that is all that
is kept here, so that trying a step costs the same at any size.

Nodes are known by rank: their place on the first path. A stretch is (first, last) in ranks, as it
is walked; every level of a chain has its own list, so that going back is free.

S. Lin and B. W. Kernighan, "An effective heuristic algorithm for the traveling salesman problem",
1973; the step with two edges at once is the 3-opt move that theirs makes an exception for.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.tours.flips import TOUR, Tour

__all__ = ["PATHS", "Paths", "find", "inserted", "new_paths", "node_at", "rank", "reversed_head"]

IntArray: TypeAlias = NDArray[np.int64]

PATHS = "Tuple((int64[:,:,::1], int64[::1], int64[::1]))"
Paths: TypeAlias = tuple[IntArray, IntArray, IntArray]
"""Stretches (levels, stretches, first and last), their counts (levels,), and in the last array the
place of rank 0 and the direction (1 or -1) in which ranks follow each other in the tour."""


def new_paths(levels: int) -> Paths:
    """Room for chains of so many steps."""
    most = 2 * levels + 3
    return (
        np.zeros((levels + 1, most, 2), np.int64),
        np.zeros(levels + 1, np.int64),
        np.zeros(2, np.int64),
    )


@kernel(f"int64({TOUR}, {PATHS}, int64)", bare=True, inline=True)
def rank(tour: Tour, paths: Paths, node: int) -> int:
    _, place = tour
    origin, direction = paths[2][0], paths[2][1]
    ranked = (place[node] - origin) * direction
    return int(ranked + len(place) if ranked < 0 else ranked)


@kernel(f"int64({TOUR}, {PATHS}, int64)", bare=True, inline=True)
def node_at(tour: Tour, paths: Paths, ranked: int) -> int:
    order, _ = tour
    origin, direction = paths[2][0], paths[2][1]
    place = origin + ranked * direction
    if place >= len(order):
        place -= len(order)
    elif place < 0:
        place += len(order)
    return int(order[place])


@kernel(f"int64({PATHS}, int64, int64)", bare=True, inline=True)
def find(paths: Paths, level: int, ranked: int) -> int:
    """Which stretch of a level's path has the node of a rank."""
    stretches, _, _ = paths
    at = 0
    while True:
        first, last = stretches[level, at, 0], stretches[level, at, 1]
        if first <= ranked <= last or last <= ranked <= first:
            return at
        at += 1


@kernel("int64(int64[:,:,::1], int64, int64, int64, int64)", bare=True, inline=True)
def _append(stretches: IntArray, level: int, count: int, first: int, last: int) -> int:
    stretches[level, count, 0] = first
    stretches[level, count, 1] = last
    return count + 1


@kernel("int64(int64[:,:,::1], int64, int64, int64, int64)", bare=True, inline=True)
def _copy(stretches: IntArray, level: int, count: int, start: int, stop: int) -> int:
    """Append stretches start..stop-1 of a level to the next one."""
    for at in range(start, stop):
        count = _append(
            stretches, level + 1, count, stretches[level, at, 0], stretches[level, at, 1]
        )
    return count


@kernel("int64(int64[:,:,::1], int64, int64, int64, int64)", bare=True, inline=True)
def _turn(stretches: IntArray, level: int, count: int, start: int, stop: int) -> int:
    """Append stretches stop-1 down to start of a level to the next one, backwards."""
    for at in range(stop - 1, start - 1, -1):
        count = _append(
            stretches, level + 1, count, stretches[level, at, 1], stretches[level, at, 0]
        )
    return count


@kernel(f"void({PATHS}, int64, int64, int64, int64)", bare=True, inline=True)
def reversed_head(paths: Paths, level: int, at: int, r3: int, r4: int) -> None:
    """The next level's path: from r4, the node before r3 on stretch `at`, back to the old head."""
    stretches, counts, _ = paths
    first, last = stretches[level, at, 0], stretches[level, at, 1]
    count = _append(stretches, level + 1, 0, r4, first)
    count = _turn(stretches, level, count, 0, at)
    count = _append(stretches, level + 1, count, r3, last)
    counts[level + 1] = _copy(stretches, level, count, at + 1, counts[level])


@kernel(f"void({PATHS}, int64, int64, int64, int64, int64, int64, int64)", bare=True, inline=True)
def inserted(
    paths: Paths, level: int, at: int, r3: int, r4: int, cut: int, r5: int, r6: int
) -> None:
    """The next level's path with the circle head..r3 opened between r5 and r6 and led on from r5.

    r3 and r4 follow each other on stretch `at`; r5 and r6, in either order, on stretch `cut`, which
    ends at r3 where it is the same one. The path is: circle from r6 round to r5, then r4 and on.
    """
    stretches, counts, _ = paths
    end = r3 if cut == at else stretches[level, cut, 1]
    start = stretches[level, cut, 0]
    # From r5 towards the head, or from the head towards r5: where r6 is told by the stretch.
    forwards = (r6 > r5) == (end > start)
    if forwards:
        count = _append(stretches, level + 1, 0, r6, end)
        if cut < at:
            count = _copy(stretches, level, count, cut + 1, at)
            count = _append(stretches, level + 1, count, stretches[level, at, 0], r3)
        count = _copy(stretches, level, count, 0, cut)
        count = _append(stretches, level + 1, count, start, r5)
    else:
        count = _append(stretches, level + 1, 0, r6, start)
        count = _turn(stretches, level, count, 0, cut)
        if cut < at:
            count = _append(stretches, level + 1, count, r3, stretches[level, at, 0])
            count = _turn(stretches, level, count, cut + 1, at)
        count = _append(stretches, level + 1, count, end, r5)
    count = _append(stretches, level + 1, count, r4, stretches[level, at, 1])
    counts[level + 1] = _copy(stretches, level, count, at + 1, counts[level])

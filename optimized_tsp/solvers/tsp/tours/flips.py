"""A tour as an array that is changed by reversing stretches of it, and changed back.

`order` has the nodes as they are visited, `place` where each node is in it. The shorter of the two
stretches between two nodes is reversed: the tour is closed, so both give the same one.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.compiled import kernel

__all__ = ["FLIPS", "TOUR", "Flips", "Tour", "after", "before", "exchange", "flip", "take_back"]

IntArray32: TypeAlias = NDArray[np.int32]
IntArray: TypeAlias = NDArray[np.int64]

TOUR = "Tuple((int32[::1], int32[::1]))"
Tour: TypeAlias = tuple[IntArray32, IntArray32]
"""`order` and `place`, each (n,)."""

FLIPS = "Tuple((int32[:,::1], int64[::1]))"
Flips: TypeAlias = tuple[IntArray32, IntArray]
"""A log of reversed stretches: first and last place of each, and in element 0 how many."""


@kernel(f"int64({TOUR}, int64)", bare=True, inline=True)
def after(tour: Tour, node: int) -> int:
    """The node visited next."""
    order, place = tour
    next_place = place[node] + 1
    return int(order[0] if next_place == len(order) else order[next_place])


@kernel(f"int64({TOUR}, int64)", bare=True, inline=True)
def before(tour: Tour, node: int) -> int:
    """The node visited just before."""
    order, place = tour
    return int(order[place[node] - 1])


@kernel(f"void({TOUR}, int64, int64)", bare=True)
def flip(tour: Tour, first: int, last: int) -> None:
    """Reverse the stretch between two places, both included, or all the rest instead."""
    order, place = tour
    n = len(order)
    inside = last - first + 1
    if inside <= 0:
        inside += n
    a, b, swaps = first, last, inside // 2
    if 2 * inside > n:
        a, b, swaps = last + 1, first - 1, (n - inside) // 2
        if a == n:
            a = 0
        if b < 0:
            b = n - 1
    for _ in range(swaps):
        x, y = order[a], order[b]
        order[a], order[b] = y, x
        place[y], place[x] = a, b
        a += 1
        if a == n:
            a = 0
        b -= 1
        if b < 0:
            b = n - 1


@kernel(f"void({TOUR}, {FLIPS}, int64, int64, int64)", bare=True, inline=True)
def exchange(tour: Tour, flips: Flips, a: int, b: int, d: int) -> None:
    """Walk the way from b to d backwards: edges a-b and d-c make room for a-d and b-c.

    In one direction of the tour b follows a, and c, whatever it is, follows d.
    """
    _, place = tour
    log, count = flips
    first, last = place[b], place[d]
    if after(tour, a) != b:
        first, last = place[d], place[b]
    flip(tour, first, last)
    if count[0] < len(log):
        log[count[0], 0] = first
        log[count[0], 1] = last
    count[0] += 1


@kernel(f"void({TOUR}, {FLIPS})", bare=True)
def take_back(tour: Tour, flips: Flips) -> None:
    """Undo all logged reversals, the last one first."""
    log, count = flips
    for entry in range(count[0] - 1, -1, -1):
        flip(tour, log[entry, 0], log[entry, 1])
    count[0] = 0

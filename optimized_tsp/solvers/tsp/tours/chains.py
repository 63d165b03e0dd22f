"""Lin-Kernighan chains: the search for an exchange of edges that makes the tour cheaper.

A chain of steps is searched depth first, several ways wide at its first levels and one way further
down; it ends with the first closed tour that is cheaper. Nothing is changed before that.
(K. Helsgaun, "General k-opt submoves for the Lin-Kernighan TSP heuristic", 2009, on wide first
levels; D. Applegate, W. Cook and A. Rohe, "Chained Lin-Kernighan for large traveling salesman
problems", 2003.)
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.tours.edge_costs import COSTS, Costs, edge_cost
from optimized_tsp.solvers.tsp.tours.flips import FLIPS, TOUR, Flips, Tour, after, before, exchange
from optimized_tsp.solvers.tsp.tours.paths import (
    PATHS,
    Paths,
    find,
    inserted,
    new_paths,
    node_at,
    rank,
    reversed_head,
)

__all__ = ["CHAIN", "GRAPH", "Chain", "ChainGraph", "improve", "new_chain"]

IntArray: TypeAlias = NDArray[np.int64]

GRAPH = f"Tuple(({COSTS}, int32[:,::1], int64[:,::1], int32[::1]))"
ChainGraph: TypeAlias = tuple[Costs, NDArray[np.int32], IntArray, NDArray[np.int32]]
"""Costs, neighbours (n, k) from the nearest on, what they cost (n, k), and mates (n,)."""

CHAIN = f"Tuple(({PATHS}, int64[:,:,::1], int64[:,::1], int64[:,::1]))"
Chain: TypeAlias = tuple[Paths, IntArray, IntArray, IntArray]
"""Paths; steps (levels, ways + 1, 7) to try, best first, and last the one to close with; a row
(head, gain, steps, next step) a level; and how wide a level is (levels, 2): ways kept in all, and
neighbours looked at for steps of two edges."""

_KIND, _T3, _T4, _T5, _T6, _GAIN, _CLOSED = range(7)
_HEAD, _OPEN_GAIN, _COUNT, _NEXT = range(4)
_TURN, _INSERT, _TURN_BOTH = 1, 2, 3


def new_chain(widths: list[tuple[int, int]]) -> Chain:
    """Room for chains with so many (ways, neighbours of steps of two edges) at their levels."""
    levels = len(widths)
    most = max(ways for ways, _ in widths)
    return (
        new_paths(levels),
        np.zeros((levels, most + 1, 7), np.int64),
        np.zeros((levels + 1, 4), np.int64),
        np.array(widths, np.int64),
    )


@kernel(
    "void(int64[:,:,::1], int64, int64, int64, int64, int64, int64, int64, int64, int64)",
    bare=True,
    inline=True,
)
def _write(
    steps: IntArray,
    level: int,
    way: int,
    kind: int,
    t3: int,
    t4: int,
    t5: int,
    t6: int,
    gain: int,
    closed: int,
) -> None:
    steps[level, way, _KIND] = kind
    steps[level, way, _T3], steps[level, way, _T4] = t3, t4
    steps[level, way, _T5], steps[level, way, _T6] = t5, t6
    steps[level, way, _GAIN], steps[level, way, _CLOSED] = gain, closed


@kernel(
    f"void({CHAIN}, int64, int64, int64, int64, int64, int64, int64, int64)", bare=True, inline=True
)
def _keep(
    chain: Chain, level: int, kind: int, t3: int, t4: int, t5: int, t6: int, gain: int, closed: int
) -> None:
    """Put a step in its place among the best of its level; drop the worst where they are many.

    The one that closes the cheapest tour is kept in the last row besides.
    """
    _, steps, state, widths = chain
    if closed > steps[level, steps.shape[1] - 1, _CLOSED]:
        _write(steps, level, steps.shape[1] - 1, kind, t3, t4, t5, t6, gain, closed)
    at = state[level, _COUNT]
    while at > 0 and steps[level, at - 1, _GAIN] < gain:
        at -= 1
    if at >= widths[level, 0]:
        return
    for moved in range(min(state[level, _COUNT], widths[level, 0] - 1), at, -1):
        for field in range(7):
            steps[level, moved, field] = steps[level, moved - 1, field]
    _write(steps, level, at, kind, t3, t4, t5, t6, gain, closed)
    state[level, _COUNT] = min(state[level, _COUNT] + 1, widths[level, 0])


@kernel(
    f"void({TOUR}, {GRAPH}, {CHAIN}, int64, int64, int64, int64, int64, int64)",
    bare=True,
    inline=True,
)
def _find_openings(
    tour: Tour,
    graph: ChainGraph,
    chain: Chain,
    level: int,
    base: int,
    t3: int,
    t5: int,
    at: int,
    gain: int,
) -> None:
    """Open the circle that ends at t3, on stretch `at`, on one side of t5 or the other.

    `gain` is what is gained with t5 joined to the node behind t3.
    """
    costs, _, _, mates = graph
    rule, matrix, points, missing = costs
    paths = chain[0]
    stretches = paths[0]
    r3, r5 = rank(tour, paths, t3), rank(tour, paths, t5)
    cut = find(paths, level, r5)
    start, end = stretches[level, cut, 0], stretches[level, cut, 1]
    if cut > at or (cut == at and (r5 > r3) == (end > start)):
        return
    t4 = node_at(tour, paths, r3 + 1 if stretches[level, at, 1] > r3 else r3 - 1)
    if cut == at:
        end = r3
    for way in range(-1, 2, 2):
        r6 = r5 + way
        if r6 < min(start, end) or r6 > max(start, end):
            continue
        t6 = node_at(tour, paths, r6)
        if mates[t5] == t6:
            continue
        kind = _INSERT if (r6 > r5) == (end > start) else _TURN_BOTH
        opened = gain + edge_cost(rule, matrix, points, missing, t5, t6)
        _keep(
            chain,
            level,
            kind,
            t3,
            t4,
            t5,
            t6,
            opened,
            opened - edge_cost(rule, matrix, points, missing, t6, base),
        )


@kernel(
    f"void({TOUR}, {GRAPH}, {CHAIN}, int64, int64, int64, int64, int64)", bare=True, inline=True
)
def _find_insertions(
    tour: Tour, graph: ChainGraph, chain: Chain, level: int, base: int, t3: int, at: int, gain: int
) -> None:
    """Steps of two edges: t3 and the node behind it part, the circle up to t3 is opened elsewhere.

    `gain` is what is gained with the head joined to t3; `at` is the stretch of t3.
    """
    costs, neighbours, nearness, mates = graph
    rule, matrix, points, missing = costs
    paths, _, _, widths = chain
    stretches = paths[0]
    r3 = rank(tour, paths, t3)
    if r3 == stretches[level, at, 1]:
        return
    r4 = r3 + 1 if stretches[level, at, 1] > r3 else r3 - 1
    t4 = node_at(tour, paths, r4)
    if mates[t3] == t4:
        return
    gain += edge_cost(rule, matrix, points, missing, t3, t4)
    for k in range(min(widths[level, 1], neighbours.shape[1])):
        t5 = neighbours[t4, k]
        joined = gain - nearness[t4, k]
        if joined <= 0:
            break
        if t5 not in (t3, base):
            _find_openings(tour, graph, chain, level, base, t3, t5, at, joined)


@kernel(f"void({TOUR}, {GRAPH}, {CHAIN}, int64, int64)", bare=True)
def _find_steps(tour: Tour, graph: ChainGraph, chain: Chain, level: int, base: int) -> None:
    """The best steps of a level, from the path and the gain it has."""
    costs, neighbours, nearness, mates = graph
    rule, matrix, points, missing = costs
    paths, steps, state, widths = chain
    stretches = paths[0]
    head, gain = state[level, _HEAD], state[level, _OPEN_GAIN]
    steps[level, steps.shape[1] - 1, _CLOSED] = 0
    state[level, _COUNT] = 0
    state[level, _NEXT] = 0
    for k in range(neighbours.shape[1]):
        t3 = neighbours[head, k]
        joined = gain - nearness[head, k]
        if joined <= 0:
            break
        if t3 == base:
            continue
        r3 = rank(tour, paths, t3)
        at = find(paths, level, r3)
        first, last = stretches[level, at, 0], stretches[level, at, 1]
        if r3 != first:
            t4 = node_at(tour, paths, r3 - 1 if last >= first else r3 + 1)
            if t4 != head and mates[t3] != t4:
                opened = joined + edge_cost(rule, matrix, points, missing, t3, t4)
                _keep(
                    chain,
                    level,
                    _TURN,
                    t3,
                    t4,
                    0,
                    0,
                    opened,
                    opened - edge_cost(rule, matrix, points, missing, t4, base),
                )
        if k < widths[level, 1]:
            _find_insertions(tour, graph, chain, level, base, t3, at, joined)


@kernel(f"void({TOUR}, {CHAIN}, int64, int64)", bare=True, inline=True)
def _take(tour: Tour, chain: Chain, level: int, way: int) -> None:
    """Make the path of the next level that a step leads to."""
    paths, steps, state, _ = chain
    r3, r4 = rank(tour, paths, steps[level, way, _T3]), rank(tour, paths, steps[level, way, _T4])
    at = find(paths, level, r3)
    if steps[level, way, _KIND] == _TURN:
        reversed_head(paths, level, at, r3, r4)
        state[level + 1, _HEAD] = steps[level, way, _T4]
    else:
        r5, r6 = (
            rank(tour, paths, steps[level, way, _T5]),
            rank(tour, paths, steps[level, way, _T6]),
        )
        inserted(paths, level, at, r3, r4, find(paths, level, r5), r5, r6)
        state[level + 1, _HEAD] = steps[level, way, _T6]
    state[level + 1, _OPEN_GAIN] = steps[level, way, _GAIN]


@kernel(f"int64({TOUR}, {GRAPH}, {CHAIN}, int64, int64)", bare=True)
def _search(tour: Tour, graph: ChainGraph, chain: Chain, base: int, head: int) -> int:
    """Levels of the chain found from an edge, 0 when there is none; its steps are the next ones."""
    costs, _, _, _ = graph
    rule, matrix, points, missing = costs
    paths, steps, state, widths = chain
    order, place = tour
    stretches, counts, origin = paths
    origin[0] = place[head]
    origin[1] = 1 if after(tour, base) == head else -1
    stretches[0, 0, 0], stretches[0, 0, 1] = 0, len(order) - 1
    counts[0] = 1
    state[0, _HEAD], state[0, _OPEN_GAIN] = (
        head,
        edge_cost(rule, matrix, points, missing, base, head),
    )
    level = 0
    _find_steps(tour, graph, chain, level, base)
    while level >= 0:
        if state[level, _NEXT] == 0 and steps[level, steps.shape[1] - 1, _CLOSED] > 0:
            state[level, _NEXT] = steps.shape[1]
            return level + 1
        way = state[level, _NEXT]
        if way == state[level, _COUNT] or level + 1 == len(widths):
            level -= 1
            continue
        state[level, _NEXT] += 1
        _take(tour, chain, level, way)
        level += 1
        _find_steps(tour, graph, chain, level, base)
    return 0


@kernel(f"void({TOUR}, {FLIPS}, {CHAIN}, int64, int64, int64)", bare=True)
def _apply(tour: Tour, flips: Flips, chain: Chain, levels: int, base: int, head: int) -> None:
    """Change the tour as the chain says, in exchanges of two edges."""
    _, steps, state, _ = chain
    t2 = head
    for level in range(levels):
        way = state[level, _NEXT] - 1
        t3, t4, t5, t6 = (
            steps[level, way, _T3],
            steps[level, way, _T4],
            steps[level, way, _T5],
            steps[level, way, _T6],
        )
        if steps[level, way, _KIND] == _TURN:
            exchange(tour, flips, base, t2, t4)
            t2 = t4
            continue
        if steps[level, way, _KIND] == _INSERT:
            exchange(tour, flips, base, t2, t3)
            exchange(tour, flips, base, t3, t6)
            exchange(tour, flips, t3, t5, t2)
        else:
            exchange(tour, flips, base, t2, t6)
            exchange(tour, flips, t2, t5, t3)
        t2 = t6


@kernel(f"int64({TOUR}, {FLIPS}, {GRAPH}, {CHAIN}, int64)", bare=True)
def improve(tour: Tour, flips: Flips, graph: ChainGraph, chain: Chain, base: int) -> int:
    """Make the tour cheaper by a chain from a node; return by how much, 0 when there is none.

    The nodes it touched are in the chain's steps.
    """
    _, _, _, mates = graph
    _, steps, state, _ = chain
    for forwards in range(2):
        head = after(tour, base) if forwards else before(tour, base)
        if mates[base] == head:
            continue
        levels = _search(tour, graph, chain, base, head)
        if levels > 0:
            _apply(tour, flips, chain, levels, base, head)
            return int(steps[levels - 1, state[levels - 1, _NEXT] - 1, _CLOSED])
    return 0

"""Iterated local search: a small random change, repaired; kept when the tour is no dearer for it.

Or, while there is heat, not much dearer. The change is a double bridge of three short stretches (O.
Martin, S. Otto and E. Felten, "Large-step Markov chains for the TSP incorporating local search
heuristics", 1992), local so that repairing it looks at a few nodes only, and what is taken back is
what it touched. A queue has the nodes where an improvement may begin.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.compiled import kernel
from optimized_tsp.solvers.tsp.tours.chains import CHAIN, GRAPH, Chain, ChainGraph, improve
from optimized_tsp.solvers.tsp.tours.edge_costs import edge_cost
from optimized_tsp.solvers.tsp.tours.flips import FLIPS, TOUR, Flips, Tour, exchange, take_back

__all__ = ["QUEUE", "Queue", "kick_often", "new_queue", "optimise"]

IntArray: TypeAlias = NDArray[np.int64]

QUEUE = "Tuple((int32[::1], boolean[::1], int64[::1]))"
Queue: TypeAlias = tuple[NDArray[np.int32], NDArray[np.bool_], IntArray]
"""A ring of nodes (n,), which nodes are in it (n,), and where it begins and how many are in it."""

_T3, _T6 = 1, 4
_FINE = 1 << 30


def new_queue(nodes: NDArray[np.int32]) -> Queue:
    """A queue with all nodes, in an order."""
    return nodes.copy(), np.ones(len(nodes), np.bool_), np.array([0, len(nodes)])


@kernel(f"void({QUEUE}, int64)", bare=True, inline=True)
def _push(queue: Queue, node: int) -> None:
    ring, waiting, ends = queue
    if waiting[node]:
        return
    at = ends[0] + ends[1]
    ring[at - len(ring) if at >= len(ring) else at] = node
    waiting[node] = True
    ends[1] += 1


@kernel(f"int64({QUEUE})", bare=True, inline=True)
def _pop(queue: Queue) -> int:
    ring, waiting, ends = queue
    node = ring[ends[0]]
    ends[0] = 0 if ends[0] + 1 == len(ring) else ends[0] + 1
    ends[1] -= 1
    waiting[node] = False
    return int(node)


@kernel(f"void({QUEUE}, {CHAIN})", bare=True, inline=True)
def _push_touched(queue: Queue, chain: Chain) -> None:
    """The ends of all edges that a chain has changed."""
    _, steps, state, _ = chain
    for level in range(len(state) - 1):
        way = state[level, 3] - 1
        for t in range(_T3, _T6 + 1 if steps[level, way, 0] > 1 else _T3 + 2):
            _push(queue, steps[level, way, t])
        if steps[level, way, 6] > 0:
            break


@kernel(f"int64({TOUR}, {FLIPS}, {GRAPH}, {CHAIN}, {QUEUE}, int64)", bare=True)
def optimise(
    tour: Tour, flips: Flips, graph: ChainGraph, chain: Chain, queue: Queue, most: int
) -> int:
    """Improve until the queue is empty or so many nodes have been tried; return what was gained."""
    gained = 0
    ends = queue[2]
    while ends[1] > 0 and most > 0:
        most -= 1
        base = _pop(queue)
        head_gain = improve(tour, flips, graph, chain, base)
        while head_gain > 0:
            gained += head_gain
            _push(queue, chain[2][0, 0])
            _push_touched(queue, chain)
            head_gain = improve(tour, flips, graph, chain, base)
    return gained


@kernel("int64(uint64[::1], int64)", bare=True, inline=True)
def _random(state: NDArray[np.uint64], below: int) -> int:
    """A number from 0 to below - 1 (G. Marsaglia, "Xorshift RNGs", 2003, with a multiplier)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return int((x * np.uint64(2685821657736338717)) >> np.uint64(33)) % below


@kernel(f"Tuple((int64, int64))({TOUR}, int32[::1], int64)", bare=True, inline=True)
def _cut(tour: Tour, mates: NDArray[np.int32], at: int) -> tuple[int, int]:
    """The ends of the edge behind a place, or of the next one where mates would part."""
    order, _ = tour
    n = len(order)
    node, following = int(order[at % n]), int(order[(at + 1) % n])
    if mates[node] == following:
        return following, int(order[(at + 2) % n])
    return node, following


@kernel(f"int64({TOUR}, {FLIPS}, {GRAPH}, {QUEUE}, uint64[::1], int64)", bare=True)
def _kick(
    tour: Tour,
    flips: Flips,
    graph: ChainGraph,
    queue: Queue,
    random: NDArray[np.uint64],
    longest: int,
) -> int:
    """Turn r A B C s into r C B A s, for short stretches; return the gain, mostly negative."""
    order, _ = tour
    costs, _, _, mates = graph
    rule, matrix, points, missing = costs
    n = len(order)
    p0 = _random(random, n)
    p1 = p0 + 1 + _random(random, longest)
    p2 = p1 + 1 + _random(random, longest)
    p3 = p2 + 1 + _random(random, longest)
    r, a0 = _cut(tour, mates, p0)
    a1, b0 = _cut(tour, mates, p1)
    b1, c0 = _cut(tour, mates, p2)
    c1, s = _cut(tour, mates, p3)
    if r == a1 or a1 == b1 or b1 == c1 or s == r or c1 == r:
        return 0
    gain = edge_cost(rule, matrix, points, missing, r, a0) + edge_cost(
        rule, matrix, points, missing, a1, b0
    )
    gain += edge_cost(rule, matrix, points, missing, b1, c0) + edge_cost(
        rule, matrix, points, missing, c1, s
    )
    gain -= edge_cost(rule, matrix, points, missing, r, c0) + edge_cost(
        rule, matrix, points, missing, c1, b0
    )
    gain -= edge_cost(rule, matrix, points, missing, b1, a0) + edge_cost(
        rule, matrix, points, missing, a1, s
    )
    exchange(tour, flips, r, a0, c1)
    exchange(tour, flips, r, c1, c0)
    exchange(tour, flips, c1, b1, b0)
    exchange(tour, flips, b1, a1, a0)
    for node in (r, a0, a1, b0, b1, c0, c1, s):
        _push(queue, node)
    return gain


@kernel("boolean(uint64[::1], int64, float64)", bare=True, inline=True)
def _allowed(random: NDArray[np.uint64], gain: int, heat: float) -> bool:
    """Whether a loss is taken, by N. Metropolis's rule."""
    return heat > 0.0 and _random(random, _FINE) < _FINE * math.exp(gain / heat)


@kernel(
    f"int64({TOUR}, {FLIPS}, {GRAPH}, {CHAIN}, {QUEUE}, uint64[::1], int64, int64, float64)",
    bare=True,
)
def kick_often(
    tour: Tour,
    flips: Flips,
    graph: ChainGraph,
    chain: Chain,
    queue: Queue,
    random: NDArray[np.uint64],
    kicks: int,
    longest: int,
    heat: float,
) -> int:
    """So many kicks, each repaired, or taken back; return what was gained in all.

    With `heat`, in units of cost, a tour that is dearer by so much is kept once in e times.
    """
    gained = 0
    log, count = flips
    for _ in range(kicks):
        count[0] = 0
        gain = _kick(tour, flips, graph, queue, random, longest)
        gain += optimise(tour, flips, graph, chain, queue, 2**62)
        if gain >= 0 or _allowed(random, gain, heat) or count[0] > len(log):
            gained += gain
        else:
            take_back(tour, flips)
    return gained

"""Open paths through more points than a matrix is made for: round trips, opened and mended.

The engine searches round trips. Each better one is cut open, and exchanges of two edges (G. A.
Croes, "A method for solving traveling-salesman problems", 1958) mend it where that was done. With
the edge from its end to its start every path is a round trip, so a bound of round trips less the
longest such edge is a bound of paths.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from optimized_tsp.solvers.contract import Incumbent, Outcome, SolutionStatus, StopReason
from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.graph import PointGraph
from optimized_tsp.solvers.tsp.open_ends import OpenEnds
from optimized_tsp.solvers.tsp.schemas import TspSolution
from optimized_tsp.solvers.tsp.validation import largest_distance

__all__ = ["Listener", "OpenedTours", "mended"]

Listener: TypeAlias = Callable[[Incumbent[TspSolution]], None]

_MENDING_S = 0.05
"""Time for one path, so that the search goes on."""


class OpenedTours:
    """Paths from the round trips of a point graph; stands in for a `Reduction`."""

    offset = 0
    known_tour: list[int] | None = None

    def __init__(self, graph: PointGraph, ends: OpenEnds) -> None:
        self.graph = graph
        self._ends = ends
        self._best: TspSolution | None = None
        self._longest_way_back = _longest_way_back(graph, ends)

    def shorten(self, order: Sequence[int]) -> list[int]:
        """The round trip of a path, which is remembered: no answer is worse."""
        self._take(np.array(order))
        return list(order)

    def reporting_to(self, listener: Listener) -> Listener:
        """A listener to a search of round trips that tells `listener` of paths."""

        told: tuple[int | None, int | None] = (None, None)

        def report(found: Incumbent[TspSolution]) -> None:
            nonlocal told
            if found.solution is not None:
                self._open(found.solution)
            cost = None if self._best is None else self._best.cost
            news = (cost, self._bound(found.lower_bound))
            if news != told:
                better = self._best if cost != told[0] else None
                told = news
                listener(Incumbent(better, *news))

        return report

    def outcome(self, found: Outcome[TspSolution]) -> Outcome[TspSolution]:
        """The outcome for round trips, said of paths: a proof for one is none for the other."""
        if found.solution is not None and self._best is None:
            self._open(found.solution)
        if self._best is None:
            return found
        cost, bound = self._best.cost, self._bound(found.lower_bound)
        status, reason = SolutionStatus.FEASIBLE, found.stop_reason
        if cost == bound:
            status, reason = SolutionStatus.OPTIMAL, StopReason.PROVEN
        elif reason is StopReason.PROVEN:
            reason = StopReason.NO_IMPROVEMENT
        return replace(
            found,
            solution_status=status,
            stop_reason=reason,
            solution=self._best,
            cost=cost,
            lower_bound=bound,
        )

    def _open(self, solution: TspSolution) -> None:
        tour = np.array(solution.node_order)
        self._take(mended(self.graph, self._ends, tour, seconds=_MENDING_S))

    def _take(self, path: IntArray) -> None:
        cost = int(self.graph.between(path[:-1], path[1:]).sum())
        if self._best is None or cost < self._best.cost:
            self._best = TspSolution(node_order=path.tolist(), cost=cost)

    def _bound(self, lower_bound: int | None) -> int | None:
        return None if lower_bound is None else max(0, lower_bound - self._longest_way_back)


def mended(graph: PointGraph, ends: OpenEnds, tour: IntArray, *, seconds: float) -> IntArray:
    """A good path near a round trip, by exchanges of two edges around where it was cut.

    The path is held as a round trip with an additional node, first in it, that costs nothing to
    reach; where an end is given its edge to that node stays.
    """
    path = _cut(graph, ends, tour)
    deadline = time.monotonic() + seconds
    circle = np.concatenate([[graph.num_nodes], path])
    kept = {end for end in (ends.start, ends.end) if end is not None}
    waiting = deque(_edges_to_try(graph, circle))
    while waiting and time.monotonic() < deadline:
        a, b = waiting.popleft()
        place = int(np.flatnonzero(circle == a)[0])
        if circle[place - 1] == b:  # turned round in the meantime
            place = (place - 1) % len(circle)
        elif circle[(place + 1) % len(circle)] != b:
            continue  # it is no edge any more
        if graph.num_nodes in {a, b} and {a, b} & kept:
            continue
        other = _best_exchange(graph, circle, place, kept)
        if other is None:
            continue
        low, high = sorted((place, other))
        circle[low + 1 : high + 1] = circle[low + 1 : high + 1][::-1].copy()
        for i in (low, high):
            waiting.append((int(circle[i]), int(circle[(i + 1) % len(circle)])))
    return _path_of(circle, ends)


def _cut(graph: PointGraph, ends: OpenEnds, tour: IntArray) -> IntArray:
    """The best of a few obvious paths from a round trip."""
    if ends.start is None and ends.end is None:
        longest = int(graph.between(tour, np.roll(tour, -1)).argmax())
        return np.roll(tour, -1 - longest)
    first = ends.start if ends.start is not None else ends.end
    ways = []
    for direction in (tour, tour[::-1]):
        way = np.roll(direction, -int(np.flatnonzero(direction == first)[0]))
        if ends.start is None:
            way = way[::-1]
        elif ends.end is not None:
            place = int(np.flatnonzero(way == ends.end)[0])
            there, back = way[:place], way[place + 1 :]
            ways.append(np.concatenate([there, back, [ends.end]]))
            way = np.concatenate([there, back[::-1], [ends.end]])
        ways.append(way)
    return min(ways, key=lambda way: int(graph.between(way[:-1], way[1:]).sum()))


def _edges_to_try(graph: PointGraph, circle: IntArray) -> list[tuple[int, int]]:
    """The two of the additional node, then the longest others."""
    lengths = _between(graph, circle, np.roll(circle, -1))
    places = [0, len(circle) - 1, *np.argsort(-lengths)[: min(32, len(circle))].tolist()]
    return [(int(circle[i]), int(circle[(i + 1) % len(circle)])) for i in places]


def _best_exchange(graph: PointGraph, circle: IntArray, place: int, kept: set[int]) -> int | None:
    """The place of the edge whose exchange with that at `place` gains most, None without a gain."""
    following = np.roll(circle, -1)
    a, b = circle[place], following[place]
    before = _between(graph, circle, following)
    change = _between(graph, a, circle) + _between(graph, b, following) - before - before[place]
    change[place] = 0
    for end in (0, len(circle) - 1):  # edges of the additional node
        if int(circle[end]) in kept or int(following[end]) in kept:
            change[end] = 0
    best = int(change.argmin())
    return best if change[best] < 0 else None


def _between(graph: PointGraph, a: IntArray, b: IntArray) -> IntArray:
    """Costs with the additional node, which has the highest number and is free to reach."""
    node = graph.num_nodes
    costs = graph.between(np.minimum(a, node - 1), np.minimum(b, node - 1))
    priced: IntArray = np.where((a == node) | (b == node), 0, costs)
    return priced


def _path_of(circle: IntArray, ends: OpenEnds) -> IntArray:
    path = circle[1:]
    return path if ends.fit(path.tolist()) else path[::-1]


def _longest_way_back(graph: PointGraph, ends: OpenEnds) -> int:
    """An upper bound of the cost from the end of any path to its start."""
    known = [end for end in (ends.start, ends.end) if end is not None]
    if known:
        nodes = np.arange(graph.num_nodes) if len(known) == 1 else np.array(known)
        return int(graph.between(np.array(known[0]), nodes).max())
    distances = graph.distances
    if isinstance(distances, Distances):
        return int(largest_distance(distances.metric, distances.points, distances.scale)) + 1
    return int(distances.largest()) + 1

"""One tour improved by several threads at once, each on a stretch of it.

A stretch is a round trip through its nodes with an edge from its last node to its first that no
step takes out, so what is found replaces the stretch whatever the others do. Stretches are cut
elsewhere each time. A tour of many nodes has more of them than there are threads: reversing a part
of a short array costs less. (R. M. Karp, "Probabilistic analysis of partitioning algorithms ...",
1977, by regions; by segments of the tour: K. Helsgaun, "An effective implementation of ...", 2000.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.tours.edge_costs import CostRule
from optimized_tsp.solvers.tsp.tours.local_search import LocalSearch
from optimized_tsp.solvers.tsp.tours.neighbours import Neighbours

__all__ = ["Round", "improve_stretches", "sub_rule"]

IntArray32: TypeAlias = NDArray[np.int32]

_SLICE_S = 0.04
_OFFER_EVERY_S = 0.2
_NEVER = 1 << 61
"""The cost of joining a neighbour that is not on the stretch: no gain pays for it."""


@dataclass(frozen=True, slots=True)
class Round:
    """How a tour is cut, and what is done: stretches, first place, threads, seconds, heat, seed."""

    stretches: int
    first: int
    threads: int
    seconds: float
    heat: float
    seed: int


class _Stretch:
    """A part of a tour that one thread works on; `nodes` is the best order of it so far."""

    def __init__(
        self, rule: CostRule, neighbours: Neighbours, nodes: IntArray32, seed: int
    ) -> None:
        self.nodes = nodes
        self._given = nodes
        self._rule = sub_rule(rule, nodes)
        self._neighbours = _neighbours_within(neighbours, nodes)
        self._seed = seed

    def improve(self, seconds: float, heat: float, give_up: Callable[[], bool]) -> None:
        """Kick for so long, ever colder."""
        began, kicks = time.monotonic(), 10
        count = len(self._given)
        local = LocalSearch(
            self._rule, self._neighbours, np.arange(count, dtype=np.int32), self._seed
        )
        while (passed := time.monotonic() - began) < seconds and not give_up():
            gained = 0
            if local.settled:
                sliced = time.monotonic()
                gained = local.kick(kicks, heat * (1.0 - passed / seconds))
                took = max(time.monotonic() - sliced, 1e-5)
                kicks = max(1, min(2 * kicks, int(kicks * _SLICE_S / took)))
            else:
                gained = local.improve(1_000)
            if gained:
                self.nodes = self._given[_from_first_to_last(local.order)]


def sub_rule(rule: CostRule, nodes: IntArray32) -> CostRule:
    """The costs among some nodes of a rule of points; the first and the last one are mates."""
    kind, matrix, points, missing = rule.costs
    mates = np.full(len(nodes), -1, dtype=np.int32)
    mates[0], mates[-1] = len(nodes) - 1, 0
    chosen = np.ascontiguousarray(np.concatenate([points[nodes], points[-1:]]))
    return replace(rule, costs=(kind, matrix, chosen, missing), num_nodes=len(nodes), mates=mates)


def _neighbours_within(neighbours: Neighbours, nodes: IntArray32) -> Neighbours:
    """The lists of these nodes among themselves; in the place of others come nodes too dear."""
    near, costs = neighbours
    place = np.full(len(near), -1, dtype=np.int32)
    place[nodes] = np.arange(len(nodes), dtype=np.int32)
    found, priced = place[near[nodes]], costs[nodes]
    outside = found < 0
    found[outside], priced[outside] = 0, _NEVER
    order = np.argsort(priced, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(priced, order, axis=1)


def _from_first_to_last(order: IntArray32) -> IntArray32:
    """A round trip as the path from its node 0 to its last node, which come together in it."""
    path = np.roll(order, -int(np.flatnonzero(order == 0)[0]))
    if path[1] == len(order) - 1:
        path = np.roll(path[::-1], 1)
    return path


def improve_stretches(
    rule: CostRule,
    neighbours: Neighbours,
    order: IntArray32,
    plan: Round,
    give_up: Callable[[], bool],
    offer: Callable[[IntArray32], None],
) -> IntArray32:
    """A tour at least as cheap, after a round of all threads; `offer` is told of it on the way.

    The rule is one of points without mates; a stretch has 8 nodes or more.
    """
    pieces = np.array_split(np.roll(order, -plan.first), plan.stretches)
    stretches = [_Stretch(rule, neighbours, piece, plan.seed + k) for k, piece in enumerate(pieces)]
    each_s = plan.seconds * min(1.0, plan.threads / plan.stretches)
    stop = threading.Event()

    def over() -> bool:
        return stop.is_set() or give_up()

    def whole() -> IntArray32:
        return np.concatenate([stretch.nodes for stretch in stretches])

    with ThreadPoolExecutor(plan.threads, thread_name_prefix="stretch") as executor:
        left = {executor.submit(s.improve, each_s, plan.heat, over) for s in stretches}
        try:
            while left:
                done, left = wait(left, timeout=_OFFER_EVERY_S)
                for one in done:
                    one.result()
                offer(whole())
        finally:
            stop.set()
    return whole()

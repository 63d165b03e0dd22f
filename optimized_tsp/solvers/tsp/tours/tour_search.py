"""The one way to tours: a first one at once, then better and better ones until told to stop.

How to use it from a strategy::

    tours = TourSearch(search, graph, plan)
    tours.first_tour()      # within a second for 10,000 nodes
    tours.improve(give_up)  # in a thread beside a proof, or alone with search.over

Both offer what they find to the search, which prices it, and go on from a better tour of somebody
else. `graph` should be the search's own where that has coordinates: no full matrix is needed then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.graph import ArcGraph, Graph, PointGraph, tour_cost
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tours.alpha import promising_neighbours
from optimized_tsp.solvers.tsp.tours.construction import any_order, best_of_all
from optimized_tsp.solvers.tsp.tours.cooling import Cooling
from optimized_tsp.solvers.tsp.tours.doubling import doubled_order, pairs_to_tour
from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule
from optimized_tsp.solvers.tsp.tours.fast_tsp_call import FastTspCall, scaled_weights
from optimized_tsp.solvers.tsp.tours.greedy import greedy_order
from optimized_tsp.solvers.tsp.tours.local_search import FEWEST_NODES, LocalSearch
from optimized_tsp.solvers.tsp.tours.neighbours import Neighbours, near_neighbours
from optimized_tsp.solvers.tsp.tours.stretches import Round, improve_stretches

__all__ = ["TourSearch"]

_NEIGHBOURS = 10
_PROMISING = 5
_FEWEST_FOR_PROMISING = 100
_SLICE_S = 0.04
_OFFER_EVERY_S = 0.2
_FIRST_KICKS_S = 0.03
_FIRST_KICKS_S_PER_NODE = 1 / 5_000
_FIRST_KICKS_S_AT_MOST = 0.5
_FIRST_KICKS_PER_NODE = 2
_ALL_KICKS_PER_NODE = 200
_TURN_AT_MOST_S = 0.2
"""So short a run is a turn of a longer one, over which it cools."""

_KICKS_BY_NUMBER = 50
"""At once in a deterministic plan, whatever time they take."""

_CALL_NODES = range(150, 13_000)
"""Where a call of fast-tsp is worth its start, and its matrix the memory (340 MB)."""

_SHARE_BESIDE_CALL = 0.2
"""Of the time that our own search works while a call has all threads."""

_FEWEST_FOR_STRETCHES = 20_000
"""So many points are cut up. Fewer are not: moves between stretches are missed, which costs more
than a second thread brings (12,000 points), while reversing parts of one array is still cheap."""

_STRETCH_NODES = 8_000
_ROUND_S_PER_NODE = 3e-4
_LONGER_ROUND = 1.5
_ROUND_HEAT = 0.2
_ROUND_HEAT_AT_MOST = 0.3
"""A first round of one thread, when one is made longer to be the last, and its heat; both double.

Heat as in `Cooling`."""

_POLISH_AFTER_CALL = 0.04
"""Of the time that is left for our own search to go on from what the call has found."""

_CALL_START_S = 0.4
_CALL_START_S_PER_PAIR = 3e-8
_CALL_END_S = 0.1
_CALL_END_S_PER_NODE = 2e-5


class TourSearch:
    """Finds tours of a graph for a search; one thread at a time may use it.

    In a deterministic plan nothing depends on the clock, but when it stops: the same seed gives the
    same tours in the same order, and `improve` ends after a number of kicks.
    """

    def __init__(self, search: Search, graph: Graph, plan: Plan) -> None:
        self._search = search
        self._graph = graph.dense() if isinstance(graph, ArcGraph) else graph
        self._plan = plan
        self._local: LocalSearch | None = None
        self._neighbours: Neighbours | None = None
        self._chosen: Neighbours | None = None
        self._cost: int | None = None
        self._cooling = Cooling(graph.num_nodes)
        self._random = np.random.default_rng(plan.seed)
        self._kicked = 0
        self._kicks_at_once = 10
        self._nodes_at_once = 1_000
        self._offered_at = 0.0

    def first_tour(self) -> None:
        """A good tour, from the search's own where it has one."""
        search, graph = self._search, self._graph
        if graph.num_nodes < FEWEST_NODES:
            order = best_of_all(graph)
            if order is not None:
                search.offer_tour(order)
            return
        local = self._local_search()
        while not local.settled and not search.over():
            self._settle(local)
        self._offer(local)
        if self._plan.deterministic:
            self._kick(local, _FIRST_KICKS_PER_NODE * graph.num_nodes, search.over)
            return
        seconds = _FIRST_KICKS_S + _FIRST_KICKS_S_PER_NODE * graph.num_nodes
        seconds = min(seconds, _FIRST_KICKS_S_AT_MOST, 0.2 * search.remaining())
        ends = time.monotonic() + seconds
        self._polish(local, lambda: search.over() or time.monotonic() >= ends)

    def improve(
        self,
        give_up: Callable[[], bool],
        *,
        seconds: float = math.inf,
        threads: int = 1,
        call_threads: int = 0,
        kicks_per_node: int = _ALL_KICKS_PER_NODE,
    ) -> None:
        """Ever better tours until `give_up()`, which is asked several times a second.

        `threads` may be used, so many of them by one call of fast-tsp, if any, which tells what it
        has found only at its end; many points are cut up for all threads instead. Ends after so
        many `seconds`; a deterministic plan instead after so many kicks.
        """
        if self._graph.num_nodes < FEWEST_NODES:
            return
        local = self._local_search()
        if self._plan.deterministic:
            self._choose_neighbours(local)
            self._kick(local, kicks_per_node * self._graph.num_nodes, give_up, heated=True)
            return
        deadline = time.monotonic() + self._search.remaining()
        ends = min(deadline, time.monotonic() + seconds)
        cold_at = ends if seconds > _TURN_AT_MOST_S else deadline

        def over() -> bool:
            return give_up() or time.monotonic() >= ends

        if seconds > _TURN_AT_MOST_S and self._are_many():
            self._choose_neighbours(local)
            self._improve_in_rounds(local, over, threads, ends)
            return
        share = 1.0 if call_threads < threads else _SHARE_BESIDE_CALL
        call = self._start_call(ends, call_threads) if call_threads else None
        if call is not None:
            try:
                self._choose_neighbours(local)
                self._polish(local, lambda: over() or not call.running, share, cold_at)
                if not call.running:
                    self._take(call)
            finally:
                call.stop()
        self._choose_neighbours(local)
        self._polish(local, over, 1.0, cold_at)

    def _are_many(self) -> bool:
        many = self._graph.num_nodes >= _FEWEST_FOR_STRETCHES
        return many and isinstance(self._graph, PointGraph)

    def _improve_in_rounds(
        self, local: LocalSearch, over: Callable[[], bool], threads: int, ends: float
    ) -> None:
        """All threads on stretches of one tour, cut elsewhere in each of ever longer rounds."""
        n, cost = self._graph.num_nodes, self._cost
        neighbours = self._chosen or self._neighbours
        if neighbours is None or cost is None:
            return
        stretches = max(threads, -(-n // _STRETCH_NODES))
        seconds, heat = _ROUND_S_PER_NODE * n / threads, _ROUND_HEAT
        while not over():
            self._follow(local)
            while not local.settled and not over():
                self._settle(local)
            left_s = ends - time.monotonic()
            this_s = left_s if left_s < _LONGER_ROUND * seconds else seconds
            first = int(self._random.integers(n))
            seed = int(self._random.integers(2**32))
            plan = Round(stretches, first, threads, this_s, heat * cost / n, seed)
            order = improve_stretches(
                self._rule, neighbours, local.order, plan, over, self._offer_nodes
            )
            local.restart(order)
            seconds, heat = 2 * seconds, min(_ROUND_HEAT_AT_MOST, 2 * heat)
        self._offer(local)

    def _choose_neighbours(self, local: LocalSearch) -> None:
        """The few most promising ones, once there is a tour."""
        graph, neighbours = self._graph, self._neighbours
        if neighbours is None or not (graph.symmetric and graph.complete):
            return
        if graph.num_nodes < _FEWEST_FOR_PROMISING:
            return
        chosen = promising_neighbours(
            self._rule, neighbours, local.order, _PROMISING, self._search.over
        )
        if chosen is not None:
            local.look_at(chosen)
            self._chosen, self._neighbours = chosen, None

    def _local_search(self) -> LocalSearch:
        if self._local is None:
            self._rule = cost_rule(self._graph)
            self._neighbours = near_neighbours(self._rule, _NEIGHBOURS)
            start = self._start(self._neighbours)
            self._local = LocalSearch(
                self._rule, self._neighbours, self._nodes_of(start), self._plan.seed
            )
            self._cost = tour_cost(self._graph, start)
        return self._local

    def _start(self, neighbours: Neighbours) -> IntArray:
        """A quick tour, or the search's own where that is cheaper."""
        greedy = greedy_order(self._rule, neighbours)
        if greedy is not None:
            self._search.offer_tour(greedy.astype(np.int64))
        elif self._search.tour is None:
            self._search.offer_tour(any_order(self._graph))
        return any_order(self._graph) if self._search.tour is None else self._search.tour

    def _nodes_of(self, order: IntArray) -> NDArray[np.int32]:
        return order.astype(np.int32) if self._graph.symmetric else doubled_order(order)

    def _settle(self, local: LocalSearch) -> int:
        """One run of improvements, in about the time a slice may take."""
        began = time.monotonic()
        gained = local.improve(self._nodes_at_once)
        self._nodes_at_once = _next_size(self._nodes_at_once, time.monotonic() - began)
        return gained

    def _polish(
        self,
        local: LocalSearch,
        give_up: Callable[[], bool],
        share: float = 1.0,
        heated_until: float = -math.inf,
    ) -> None:
        """Kick in slices, from the best tour there is, for a share of the time."""
        gained = 0
        while not give_up():
            if share < 1.0:
                time.sleep(_SLICE_S * (1.0 / share - 1.0))
            self._follow(local)
            if not local.settled:
                gained += self._settle(local)
            else:
                most = self._kicks_at_once / _SLICE_S * share * (heated_until - time.monotonic())
                gained += self._kick_once(local, self._kicks_at_once, most)
            if gained and time.monotonic() > self._offered_at + _OFFER_EVERY_S:
                self._offer(local)
                gained = 0
        if gained:
            self._offer(local)

    def _kick_once(self, local: LocalSearch, kicks: int, most: float) -> int:
        """A slice of kicks, with heat where as many as `most` will follow; return the gain."""
        heat, cooling = 0.0, self._cooling
        if most > 0.0 and self._cost is not None:
            cooling.begin(most)
            kicks = min(kicks, cooling.left_in_step())
            heat = cooling.heat(self._cost / self._graph.num_nodes)
        began = time.monotonic()
        gained = local.kick(kicks, heat)
        self._kicked += kicks
        at_once = int(kicks * _SLICE_S / max(time.monotonic() - began, 1e-5))
        self._kicks_at_once = max(1, min(2 * self._kicks_at_once, at_once))
        if heat > 0.0 and cooling.spend(kicks):
            local.cool()
        return gained

    def _kick(
        self, local: LocalSearch, kicks: int, give_up: Callable[[], bool], *, heated: bool = False
    ) -> None:
        """So many kicks, whatever time they take."""
        ends_at = self._kicked + kicks
        while self._kicked < ends_at and not give_up():
            if not local.settled:
                self._settle(local)
                continue
            left = ends_at - self._kicked
            self._kick_once(local, min(left, _KICKS_BY_NUMBER), left if heated else 0.0)
        self._offer(local)

    def _offer(self, local: LocalSearch) -> None:
        self._offer_nodes(local.order)

    def _offer_nodes(self, nodes: NDArray[np.int32]) -> None:
        order = nodes if self._graph.symmetric else pairs_to_tour(nodes)
        order = order.astype(np.int64)
        self._cost = tour_cost(self._graph, order)
        self._search.offer_tour(order)
        self._offered_at = time.monotonic()

    def _follow(self, local: LocalSearch) -> None:
        """Go on from the search's tour where somebody else has found a better one."""
        tour, cost = self._search.tour, self._search.cost
        if tour is None or cost is None or (self._cost is not None and cost >= self._cost):
            return
        local.restart(self._nodes_of(tour))
        self._cost = cost

    def _start_call(self, ends: float, threads: int) -> FastTspCall | None:
        """One call of fast-tsp for all the time until then, where it is worth it."""
        graph = self._graph
        nodes = graph.num_nodes if graph.symmetric else 2 * graph.num_nodes
        handing_over = _CALL_END_S + _CALL_END_S_PER_NODE * nodes
        preparing = _CALL_START_S + _CALL_START_S_PER_PAIR * nodes * nodes
        ends -= handing_over + _POLISH_AFTER_CALL * (ends - time.monotonic())
        if nodes not in _CALL_NODES or ends < time.monotonic() + preparing:
            return None
        weights = scaled_weights(self._rule, self._longest(), complete=graph.complete)
        return FastTspCall(weights, ends, threads)

    def _take(self, call: FastTspCall) -> None:
        order = call.result()
        if order is not None:
            self._search.offer_tour(order if self._graph.symmetric else pairs_to_tour(order))

    def _longest(self) -> int | None:
        """The cost of the dearest edge of the best tour."""
        tour = self._search.tour
        if tour is None:
            return None
        return int(self._graph.between(tour, np.roll(tour, -1)).max())


def _next_size(size: int, seconds: float) -> int:
    """Of a slice, so that it takes about as long as it should."""
    return max(1, min(2 * size, int(size * _SLICE_S / max(seconds, 1e-5))))

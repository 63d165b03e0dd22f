"""The tours of a search: at once, before a proof, beside it, and after it.

Tours are never lost to a failure: where the compiled search for them cannot work, a simple one
gives the first tour and what proves it finds better ones.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from optimized_tsp.solvers.tsp.graph import DenseGraph, Graph
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tours.construction import nearest_neighbour_tour

if TYPE_CHECKING:
    from optimized_tsp.solvers.tsp.tours.tour_search import TourSearch

__all__ = ["TourStage"]

_BEFORE_PROOF_S_PER_NODE = 1e-3
_BEFORE_PROOF_S_AT_MOST = 5.0
_BEFORE_PROOF_SHARE = 0.1
_PROOF_S_PER_NODE = 3e-3
_WITHOUT_PROOF_SHARE = 0.5
"""A proof in less time cannot be hoped for: then tours get more of it."""
_BESIDE_PROOF_S_PER_NODE = 3e-3
_BESIDE_PROOF_S_AT_LEAST = 1.0
_BESIDE_PROOF_S_AT_MOST = 10.0
_BEFORE_PROOF_KICKS_PER_NODE = 10

_TURN_S = 0.05
_TURNS_SHARE = 0.2
"""Of the time of a single thread that serves tours while it proves."""

_PATIENCE = 0.5
_PATIENCE_AT_LEAST_S = 2.0


class TourStage:
    """Tours of one search; `graph` is the search's own or a denser form of it."""

    def __init__(self, search: Search, graph: Graph, plan: Plan) -> None:
        self._search = search
        self._graph = graph
        self._plan = plan
        self._tours: TourSearch | None = None
        self._turn_due = 0.0
        self._calling = False

    def begin(self) -> None:
        """A good tour within a second for 10,000 nodes."""
        try:
            from optimized_tsp.solvers.tsp.tours.tour_search import TourSearch

            self._tours = TourSearch(self._search, self._graph, self._plan)
            self._tours.first_tour()
        except Exception as error:  # noqa: BLE001 - noted, and there is another way
            self._fail(error)
            if self._search.tour is None and isinstance(self._graph, DenseGraph):
                self._search.offer_tour(nearest_neighbour_tour(self._graph.costs))
        self._search.note("first_tour_cost", self._search.cost)

    def sharpen(self) -> None:
        """Better tours with all threads, before a proof that gains by every one of them."""
        nodes = self._graph.num_nodes
        remaining = self._search.remaining()
        hopeless = remaining < _PROOF_S_PER_NODE * nodes
        share = _WITHOUT_PROOF_SHARE if hopeless else _BEFORE_PROOF_SHARE
        seconds = min(_BEFORE_PROOF_S_PER_NODE * nodes, _BEFORE_PROOF_S_AT_MOST)
        seconds = min(seconds, share * remaining)
        self._improve(
            self._search.over,
            seconds=seconds,
            threads=self._plan.threads,
            call_threads=self._plan.threads,
            kicks_per_node=_BEFORE_PROOF_KICKS_PER_NODE,
        )

    def finish(self) -> None:
        """Better tours with all threads until the search is over; nothing else is left to do."""
        self._improve(
            self._search.over, threads=self._plan.threads, call_threads=self._plan.threads
        )

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Better tours in a thread of its own while the block runs, where there is one to spare."""
        if self._plan.threads < 2 or self._tours is None:
            yield
            return
        done = threading.Event()

        def give_up() -> bool:
            return done.is_set() or self._search.over()

        self._calling = True
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tours") as executor:
            executor.submit(self._improve_beside, give_up)
            try:
                yield
            finally:
                done.set()

    def take_turn(self) -> None:
        """Better tours for a moment, if there is no thread for them and it is their turn again."""
        now = time.monotonic()
        if self._plan.threads > 1 or self._plan.deterministic or now < self._turn_due:
            return
        self._improve(self._search.over, seconds=_TURN_S)
        self._turn_due = time.monotonic() + _TURN_S / _TURNS_SHARE

    @property
    def settled(self) -> bool:
        """Nothing better was found for so long that the thread is better used for the proof."""
        if self._calling:  # it tells nothing before its end
            return False
        search = self._search
        idle_s = search.elapsed() - float(search.statistics.get("time_to_best_s", 0.0))
        return idle_s > max(_PATIENCE_AT_LEAST_S, _PATIENCE * search.elapsed())

    def _improve_beside(self, give_up: Callable[[], bool]) -> None:
        """fast-tsp for a while, in a process of its own; then our own search for good."""
        seconds = max(_BESIDE_PROOF_S_PER_NODE * self._graph.num_nodes, _BESIDE_PROOF_S_AT_LEAST)
        if not self._plan.deterministic:
            seconds = min(seconds, _BESIDE_PROOF_S_AT_MOST)
            self._improve(give_up, seconds=seconds, call_threads=1)
        self._calling = False
        self._improve(give_up)

    def _improve(
        self,
        give_up: Callable[[], bool],
        *,
        seconds: float = math.inf,
        threads: int = 1,
        call_threads: int = 0,
        kicks_per_node: int | None = None,
    ) -> None:
        if self._tours is None:
            return
        kicks = {} if kicks_per_node is None else {"kicks_per_node": kicks_per_node}
        try:
            self._tours.improve(
                give_up, seconds=seconds, threads=threads, call_threads=call_threads, **kicks
            )
        except Exception as error:  # noqa: BLE001 - noted; it costs nothing but better tours
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._tours = None
        self._search.note_failure("tours", error)

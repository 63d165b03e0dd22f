"""Branch and cut: the tree of nodes, worked on by one or more threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.branching.frontier import Frontier
from optimized_tsp.solvers.tsp.branching.node import Node
from optimized_tsp.solvers.tsp.branching.worker import Worker
from optimized_tsp.solvers.tsp.relaxation.root import Core, RootListener, RootRelaxation

__all__ = ["TreeResult", "prove"]

_LOOK_S = 0.2


@dataclass(frozen=True)
class TreeResult:
    """What the tree did.

    `exhausted` says that no tour is cheaper than the upper bound at the end (or, without one, that
    there is no tour at all); otherwise the search was over before, or `unresolved` nodes were left.
    """

    exhausted: bool
    nodes: int
    unresolved: int
    core_edges: int


def prove(
    relaxation: RootRelaxation,
    listener: RootListener,
    *,
    threads: int = 1,
    seed: int = 0,
    most_nodes: int | None = None,
    spare: Callable[[], bool] = lambda: True,
) -> TreeResult | None:
    """Search all tours cheaper than `listener.upper_bound()`, which may fall meanwhile.

    `relaxation` has run. Tours and rising bounds go to the listener, from any of the threads but
    never two at once. None if the relaxation has no bound, or too many edges are left. The same
    result for the same seed if there is one thread and neither clock nor anybody else interferes;
    gives up at `most_nodes`. The last of several threads joins once `spare()` says so, which the
    calling thread asks now and then.
    """
    core = relaxation.core(listener.upper_bound())
    if core is None:
        return None
    search = _Search(relaxation, core, listener, seed, most_nodes)
    if threads <= 1:
        search.work(0)
    else:
        search.work_in_threads(threads, spare)
    return search.result()


class _Search:
    """The frontier and those who work on it."""

    def __init__(
        self,
        relaxation: RootRelaxation,
        core: Core,
        listener: RootListener,
        seed: int,
        most_nodes: int | None,
    ) -> None:
        self._relaxation = relaxation
        self._core = core
        self._listener = listener
        self._seed = seed
        self._most_nodes = math.inf if most_nodes is None else most_nodes
        self._lock = threading.Lock()
        self._published: int | None = None
        self._errors: list[BaseException] = []
        self._frontier = Frontier(self._over, self._cut_off)
        self._frontier.add([Node(core.bound)])

    def work(self, worker: int) -> None:
        """Take nodes until there are none."""
        hands = Worker(
            self._relaxation,
            self._core,
            self._seed + worker,
            RootListener(self._over, self._listener.upper_bound, self._ignore, self._offer),
        )
        while (node := self._frontier.take(worker)) is not None:
            children = hands.process(node)
            if children is None:
                if self._over():
                    return
                self._frontier.give_up(worker)
            else:
                self._frontier.finish(worker, children)
            self._publish()

    def work_in_threads(self, threads: int, spare: Callable[[], bool]) -> None:
        """Work in so many threads, the last when it is `spare`; raises the first error of any."""
        workers = [
            threading.Thread(target=self._guarded, args=(worker,), name=f"tree-{worker}")
            for worker in range(threads)
        ]
        started = workers[:-1]
        for thread in started:
            thread.start()
        while any(thread.is_alive() for thread in started):
            if len(started) < threads and spare():
                workers[-1].start()
                started = workers
            for thread in started:
                thread.join(_LOOK_S)
        if self._errors:
            raise self._errors[0]

    def result(self) -> TreeResult:
        frontier = self._frontier
        return TreeResult(
            exhausted=frontier.bound() is None,
            nodes=frontier.nodes,
            unresolved=frontier.unresolved,
            core_edges=len(self._core.edges.keys),
        )

    def _guarded(self, worker: int) -> None:
        try:
            self.work(worker)
        except BaseException as error:  # noqa: BLE001 - raised again by `work_in_threads`
            self._errors.append(error)
            self._frontier.fail()

    def _over(self) -> bool:
        enough = self._frontier.nodes > self._most_nodes
        return enough or bool(self._errors) or self._listener.over()

    def _cut_off(self, bound: int) -> bool:
        upper = self._listener.upper_bound()
        return upper is not None and -(-bound >> self._core.shift) >= upper

    def _offer(self, order: IntArray) -> None:
        with self._lock:
            self._listener.on_tour(order)

    def _ignore(self, bound: int) -> None:
        """A worker's node bounds say nothing about the whole."""

    def _publish(self) -> None:
        with self._lock:
            bound = self._frontier.bound()
            upper = self._listener.upper_bound()
            if bound is not None:
                whole = -(-bound >> self._core.shift)
                whole = whole if upper is None else min(whole, upper)
            elif upper is not None:
                whole = upper
            else:
                return
            if self._published is None or whole > self._published:
                self._published = whole
                self._listener.on_bound(whole)

"""The relaxation of the whole problem: cuts and edges are added until neither helps any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.relaxation.cuts import Cut
from optimized_tsp.solvers.tsp.relaxation.duals import CoreEdges, IntegerDuals
from optimized_tsp.solvers.tsp.relaxation.highs import LpStatus
from optimized_tsp.solvers.tsp.relaxation.pool import CutPool
from optimized_tsp.solvers.tsp.relaxation.problem import SymmetricProblem
from optimized_tsp.solvers.tsp.relaxation.progress import RootProgress
from optimized_tsp.solvers.tsp.relaxation.separation import Separator
from optimized_tsp.solvers.tsp.relaxation.tour_lp import TourLp

__all__ = ["Core", "RootListener", "RootRelaxation", "RootStatistics"]

_NEIGHBOURS = 5
_PURGE_EVERY = 3
_PURGE_AGE = 3
_PURGE_AT_LEAST = 20
_PRICE_EVERY = 4
_MOST_PRICED = 500_000
_NEW_EDGES_PER_NODE = 3
_MOST_CORE_EDGES = 2_000_000
_MOST_EDGES_WITHOUT_TOUR = 200_000
_REDUCED_COST_UNIT = 1e-6


@dataclass(frozen=True)
class RootListener:
    """What the relaxation asks and tells; all are called from the thread that runs it.

    `over` is asked at least every half second or so. `upper_bound` is the cost of the best tour
    known, None without one. `on_bound` gets safe bounds that rise, `on_tour` tours (orders of the
    symmetric problem's nodes) that need not be better than those known.
    """

    over: Callable[[], bool]
    upper_bound: Callable[[], int | None]
    on_bound: Callable[[int], None]
    on_tour: Callable[[IntArray], None]


@dataclass
class RootStatistics:
    """What the relaxation did."""

    rounds: int = 0
    seconds: float = 0.0
    lp_seconds: float = 0.0
    pricing_seconds: float = 0.0
    lp_solves: int = 0
    columns: int = 0
    rows: int = 0
    cuts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Core:
    """The edges that a tour cheaper than some cost may have, with exact reduced costs.

    `bound` and `reduced` are in units of 2**-shift; `edges` are sorted by key.
    """

    edges: CoreEdges
    reduced: IntArray
    bound: int
    shift: int

    def bounds(self, upper_bound: int) -> tuple[IntArray, IntArray]:
        """0-1 bounds of every edge for tours cheaper than `upper_bound`."""
        spare = ((upper_bound - 1) << self.shift) - self.bound
        upper = (self.reduced <= spare).astype(np.int64)
        lower = (-self.reduced > spare).astype(np.int64)
        return lower, upper


class RootRelaxation:
    """A linear relaxation of the problem and the best safe bound it gave.

    `tour` is the best tour known, if any: its edges are in the program from the start. `threads()`
    says how many threads there are by now. `run` may be called once; afterwards the program, the
    cuts and the bound can be built upon.
    """

    def __init__(
        self,
        problem: SymmetricProblem,
        tour: IntArray | None,
        listener: RootListener,
        *,
        seed: int = 0,
        threads: Callable[[], int] = lambda: 1,
    ) -> None:
        self.problem = problem
        self.lower_bound: int | None = None
        self.infeasible = False
        """Proven: there is no tour at all."""
        self.complete = False
        """No edge and no cut that could be found would change the solution any more."""
        self.statistics = RootStatistics()
        self.pool = CutPool()
        self._listener = listener
        self._seed = seed
        self._threads = threads
        self._tour = tour
        self._duals: IntegerDuals | None = None
        self._bound: int | None = None
        self._solved = False
        self.lp = TourLp(problem, self._first_edges())

    @property
    def order(self) -> IntArray:
        """The tour that was given, or some order of the nodes."""
        return np.arange(self.problem.num_nodes) if self._tour is None else self._tour

    @property
    def cuts(self) -> list[Cut]:
        """The cuts in the program."""
        return [row.cut for row in self.lp.rows]

    def run(self) -> None:
        """Raise the bound until it hardly rises any more, meets the upper bound, or `over()`."""
        began = time.monotonic()
        if self.problem.dead_end:
            self.infeasible = True
            return
        over = self._listener.over
        self._improve(Separator(self.order, self._seed, self.pool, over, self._threads))
        if not self.complete and self._solved:
            self._price()
        self.statistics.seconds = time.monotonic() - began
        self.statistics.lp_solves = self.lp.lp.solves
        self.statistics.columns = len(self.lp.keys)
        self.statistics.rows = len(self.lp.rows)

    def core(self, upper_bound: int | None) -> Core | None:
        """The edges that tours cheaper than `upper_bound` may have; None if unknown or too many.

        Without an upper bound, all edges.
        """
        if self._duals is None or self._bound is None:
            return None
        if upper_bound is None:
            upper_bound = self.problem.num_nodes * self.problem.largest_cost + 1
        spare = ((upper_bound - 1) << self._duals.shift) - self._bound
        pricing = self._duals.price_all(self.problem, spare + 1, _MOST_CORE_EDGES)
        # Forced edges stay whatever they cost.
        keys = np.union1d(pricing.keys, self.problem.forced)
        if pricing.count > len(pricing.keys):
            return None
        edges = CoreEdges.of(self.problem, keys)
        return Core(edges, self._duals.reduced(edges), self._bound, self._duals.shift)

    def _first_edges(self) -> IntArray:
        if self._tour is None:
            tails, heads = np.nonzero(np.triu(self.problem.costs < NO_EDGE // 2))
            if len(tails) <= _MOST_EDGES_WITHOUT_TOUR:
                return self.problem.keys(tails, heads)
            return np.union1d(self.problem.nearest(_NEIGHBOURS), self.problem.forced)
        keys = np.union1d(self.problem.nearest(_NEIGHBOURS), self.problem.forced)
        return np.union1d(keys, self.problem.tour_keys(self._tour))

    def _improve(self, separator: Separator) -> None:
        progress = RootProgress(self.problem.num_nodes)
        while not self._listener.over():
            self.statistics.rounds += 1
            if not self._solve():
                return
            self._purge()
            upper = self._listener.upper_bound()
            progress.note(self.lp.objective, upper)
            known = len(self.lp.rows)
            added = separator.add_violated(self.lp, progress.effort)
            self._count(self.cuts[known:])
            if added == 0:
                self._offer_tour()
            met = upper is not None and self.lp.objective > upper - 1 + _REDUCED_COST_UNIT
            finished = met or progress.finished(added)
            if finished or added == 0 or self.statistics.rounds % _PRICE_EVERY == 1:
                if finished and not self._solve():
                    return
                if self._price():
                    progress.restart()
                elif finished:
                    self.complete = True
                if self.complete or self._proven():
                    return

    def _purge(self) -> None:
        """Every few rounds, rows that were slack for long go to the pool."""
        if self.statistics.rounds % _PURGE_EVERY == 0:
            self.pool.add(self.lp.purge(_PURGE_AGE, _PURGE_AT_LEAST))

    def _solve(self) -> bool:
        """Solve the program; False if that could not be done (then look at `infeasible`)."""
        began = time.monotonic()
        status = self.lp.solve(self._listener.over)
        self.statistics.lp_seconds += time.monotonic() - began
        if status is LpStatus.INFEASIBLE:
            self.infeasible = self._no_tour()
        # The duals of an interrupted solve give a bound as well.
        self._solved = status in (LpStatus.OPTIMAL, LpStatus.LIMIT)
        return status is LpStatus.OPTIMAL

    def _price(self) -> int:
        """Add edges that would lower the bound, and publish what is proven; returns how many."""
        duals = self.lp.duals()
        if duals is None:
            return 0
        began = time.monotonic()
        # So much below zero that rounding the duals down does not explain it.
        limit = -max(1, int(_REDUCED_COST_UNIT * self.lp.tolerance * (1 << duals.shift)))
        pricing = duals.price_all(self.problem, limit, _MOST_PRICED)
        if pricing.bound is not None and (self._bound is None or pricing.bound > self._bound):
            self._bound, self._duals = pricing.bound, duals
            self.lower_bound = duals.whole(pricing.bound)
            self._listener.on_bound(self.lower_bound)
        new = ~np.isin(pricing.keys, self.lp.keys)
        most = _NEW_EDGES_PER_NODE * self.problem.num_nodes
        best = np.argsort(pricing.reduced[new], kind="stable")[:most]
        added = self.lp.add_edges(pricing.keys[new][best])
        self.statistics.pricing_seconds += time.monotonic() - began
        return added

    def _proven(self) -> bool:
        upper = self._listener.upper_bound()
        return upper is not None and self.lower_bound is not None and self.lower_bound >= upper

    def _offer_tour(self) -> None:
        order = self.lp.support().tour()
        if order is not None:
            self._listener.on_tour(order)

    def _no_tour(self) -> bool:
        """Whether the dual ray proves, over all edges of the problem, that there is no tour."""
        ray = self.lp.ray()
        tails, heads = np.nonzero(np.triu(self.problem.costs < NO_EDGE // 2))
        if ray is None or len(tails) > _MOST_EDGES_WITHOUT_TOUR:
            return False
        edges = CoreEdges.of(self.problem, np.sort(self.problem.keys(tails, heads)))
        lower = np.isin(edges.keys, self.problem.forced).astype(np.int64)
        reduced = ray.reduced(edges, costs=False)
        return ray.bound(reduced, lower, np.ones_like(lower)) > 0

    def _count(self, cuts: list[Cut]) -> None:
        for cut in cuts:
            name = cut.kind.value
            self.statistics.cuts[name] = self.statistics.cuts.get(name, 0) + 1

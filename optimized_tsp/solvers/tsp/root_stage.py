"""The linear relaxation of a search: run, reported, and made the core of what is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optimized_tsp.solvers.tsp.core import Core, Row
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.relaxation import RootListener, RootRelaxation, RootStatistics
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.symmetric_view import SymmetricView

__all__ = ["RootStage"]


class RootStage:
    """A symmetric problem and its relaxation; `between` is called now and then while it works."""

    def __init__(
        self, search: Search, view: SymmetricView, plan: Plan, between: Callable[[], None]
    ) -> None:
        self.view = view
        self._search = search
        self._between = between
        self._seed = plan.seed

    def run(self, threads: Callable[[], int]) -> None:
        """Raise the bound of the search as far as the relaxation goes, with so many threads."""
        search = self._search
        self.relaxation = RootRelaxation(
            self.view.problem,
            self.view.best_tour(),
            self.listener("root_relaxation"),
            seed=self._seed,
            threads=threads,
        )
        try:
            self.relaxation.run()
        finally:
            search.note("root_bound", self.relaxation.lower_bound)
            _note(search, self.relaxation.statistics)
        if self.relaxation.infeasible:
            search.rule_out_tours("root_relaxation")

    def listener(self, by: str) -> RootListener:
        """What ties a part that works on the problem to the search; `by` is its name."""
        search = self._search

        def over() -> bool:
            self._between()
            return search.over()

        return RootListener(
            over=over,
            upper_bound=lambda: search.cost,
            on_bound=lambda bound: search.raise_bound(bound, by),
            on_tour=self.view.offer,
        )

    def core(self) -> Core | None:
        """The edges of every tour cheaper than the best one and of that one, with all cuts.

        None while nothing is known, or where there are too many.
        """
        tour, cost = self.view.best_tour(), self._search.cost
        if tour is None or cost is None:
            return None
        found = self.relaxation.core(cost)
        if found is None:
            return None
        edges, (_, upper) = found.edges, found.bounds(cost)
        kept = (upper == 1) | np.isin(edges.keys, self.view.problem.tour_keys(tour))
        tails, heads = edges.tails[kept], edges.heads[kept]
        rows = []
        for cut in self.relaxation.cuts:
            weights = cut.coefficients(self.view.problem.num_nodes, tails, heads)
            used = np.flatnonzero(weights)
            rows.append(Row(used, weights[used], cut.rhs))
        # Edges of a better tour; the best one known need not have them.
        forced = np.isin(edges.keys[kept], self.view.problem.forced)
        return Core(
            self.view.problem.num_nodes,
            tails,
            heads,
            edges.costs[kept],
            rows,
            np.flatnonzero(forced).tolist(),
        )


def _note(search: Search, statistics: RootStatistics) -> None:
    search.note("root_s", round(statistics.seconds, 3))
    search.note("root_rounds", statistics.rounds)
    search.note("lp_s", round(statistics.lp_seconds, 3))
    search.note("columns", statistics.columns)
    search.note("rows", statistics.rows)
    for kind, count in statistics.cuts.items():
        search.note(f"cuts_{kind}", count)

"""A dense graph: a tour at once, bounds, a proof; another engine where one fails.

Whatever fails, the search keeps its best tour and its best bound: a failure is noted in the
statistics, logged, and made up for by what comes after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from optimized_tsp.solvers.tsp.graph import ArcGraph, DenseGraph, PointGraph
from optimized_tsp.solvers.tsp.held_karp_core import HeldKarpCore
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tour_stage import TourStage

if TYPE_CHECKING:
    from optimized_tsp.solvers.tsp.cp_sat import CpSatLimits
    from optimized_tsp.solvers.tsp.root_stage import RootStage

__all__ = ["settle_sparse", "solve_dense"]

_MUCH_BETTER = 0.7
"""A gap this much smaller leaves so few edges that CP-SAT is better started again on those."""

_MOST_NODES = 1_000
"""Of the search tree in a deterministic solve."""

_MOST_WORK = 60.0
"""Of one CP-SAT run in a deterministic solve: deterministic seconds, about as long as real ones."""


def solve_dense(search: Search, graph: DenseGraph, plan: Plan) -> None:
    """Search until the best tour is proven, all tours are ruled out, or the search is over."""
    given = search.graph
    tours = TourStage(search, given if isinstance(given, PointGraph) else graph, plan)
    tours.begin()
    tours.sharpen()
    with ExitStack() as beside:
        beside.enter_context(tours.beside())
        ended = False

        def spare() -> bool:
            """Whether the thread of the tours is free; ends them when they have settled."""
            nonlocal ended
            if not ended and tours.settled:
                beside.close()
                ended = True
            return ended

        proof = _Proof(search, graph, plan, tours, spare)
        proof.begin()
        proof.finish()
    tours.finish()


def settle_sparse(search: Search, graph: ArcGraph, plan: Plan) -> None:
    """CP-SAT on all arcs of a graph too large for anything else, if it is not too large for it."""
    from optimized_tsp.solvers.tsp import cp_sat_engine
    from optimized_tsp.solvers.tsp.cp_sat import CpSatLimits

    search.note("engine", "cp_sat")
    source, target = graph.arcs()
    if cp_sat_engine.is_worth_a_model(search, len(source)):
        work = _MOST_WORK if plan.deterministic else None
        cp_sat_engine.settle_arcs(search, source, target, CpSatLimits(plan.seed, work=work))


class _Proof:
    """The stages of a proof, none of them fatal."""

    def __init__(
        self,
        search: Search,
        graph: DenseGraph,
        plan: Plan,
        tours: TourStage,
        spare: Callable[[], bool],
    ) -> None:
        self._search = search
        self._graph = graph
        self._plan = plan
        self._tours = tours
        self._spare = spare
        self._root: RootStage | None = None
        self._held_karp: HeldKarpCore | None = None
        self._left = ["branch_and_cut", "cp_sat"]
        if plan.engine == "cp_sat":
            self._left.reverse()

    def begin(self) -> None:
        """A first tour where there is none yet, then the bound of the relaxation."""
        self._search.note("engine", self._left[0])
        if self._search.tour is None:
            self._try("cp_sat", self._find_any_tour)
        if not self._search.over():
            self._try("root_relaxation", self._relax)

    def finish(self) -> None:
        """The engine that was asked for, then the other one, until the search is over."""
        while self._left and not self._search.over():
            engine = self._left.pop(0)
            self._spare()
            self._search.note("engine", engine)
            if engine == "cp_sat":
                self._try(engine, self._cp_sat)
            else:
                self._try(engine, self._branch_and_cut)

    def _try(self, part: str, stage: Callable[[], None]) -> None:
        try:
            stage()
        except Exception as error:  # noqa: BLE001 - noted, and there is another way
            self._search.note_failure(part, error)

    def _find_any_tour(self) -> None:
        """A first tour where heuristics find none, or the proof that there is none."""
        from optimized_tsp.solvers.tsp import cp_sat_engine

        search = self._search
        source, target = self._graph.arcs()
        if cp_sat_engine.is_worth_a_model(search, len(source)):
            limits = self._limits(lambda: search.tour is not None, first_only=True)
            cp_sat_engine.settle_arcs(search, source, target, limits)

    def _relax(self) -> None:
        from optimized_tsp.solvers.tsp.root_stage import RootStage
        from optimized_tsp.solvers.tsp.symmetric_view import SymmetricView

        view = SymmetricView(self._search, self._graph)
        self._root = root = RootStage(self._search, view, self._plan, self._tours.take_turn)
        root.run(self._threads)

    def _threads(self) -> int:
        """How many threads there are for the proof by now."""
        return max(1, self._plan.threads - (0 if self._spare() else 1))

    def _branch_and_cut(self) -> None:
        from optimized_tsp.solvers.tsp.branching import prove

        search, root = self._search, self._root
        if root is None:
            return
        listener = root.listener("branch_and_cut")
        began = time.monotonic()
        result = prove(
            root.relaxation,
            listener,
            threads=self._plan.threads,
            seed=self._plan.seed,
            spare=self._spare,
            most_nodes=_MOST_NODES if self._plan.deterministic else None,
        )
        search.add_to("tree_s", time.monotonic() - began)
        if result is None:
            return
        search.note("nodes", result.nodes)
        search.note("unresolved_nodes", result.unresolved)
        search.note("core_edges", result.core_edges)
        if result.exhausted and search.cost is None:
            search.rule_out_tours("branch_and_cut")

    def _cp_sat(self) -> None:
        """CP-SAT, once more on fewer edges whenever a better tour has turned up meanwhile."""
        search = self._search
        better = True
        while better and not search.over():
            before = search.cost
            worked = self._settle_core() or self._settle_arcs()
            better = worked and search.cost != before

    def _settle_core(self) -> bool:
        """On the core of the relaxation; False where there is none or it is too large."""
        from optimized_tsp.solvers.tsp import cp_sat_engine

        search, root = self._search, self._root
        if root is None:
            return False
        core = root.core()
        if core is None or not cp_sat_engine.is_worth_a_model(search, len(core.costs)):
            return False
        cp_sat_engine.settle_core(
            search,
            core,
            self._limits(self._much_better()),
            hint=root.view.best_tour(),
            offer=root.view.offer,
        )
        return True

    def _settle_arcs(self) -> bool:
        """On what the Held-Karp bound leaves; False where it is too much for a model."""
        from optimized_tsp.solvers.tsp import cp_sat_engine

        search = self._search
        if self._held_karp is None:
            self._held_karp = HeldKarpCore(search, self._graph)
        source, target = self._held_karp.open_arcs()
        if search.over() or not cp_sat_engine.is_worth_a_model(search, len(source)):
            return False
        limits = self._limits(self._much_better())
        if not self._graph.symmetric or search.tour is None:
            cp_sat_engine.settle_arcs(search, source, target, limits)
            return True
        cp_sat_engine.settle_core(
            search,
            cp_sat_engine.symmetric_core(search, source, target),
            limits,
            hint=search.tour,
            offer=search.offer_tour,
        )
        return True

    def _limits(self, outdated: Callable[[], bool], *, first_only: bool = False) -> CpSatLimits:
        from optimized_tsp.solvers.tsp.cp_sat import CpSatLimits

        if self._plan.deterministic:
            return CpSatLimits(self._plan.seed, work=_MOST_WORK, first_only=first_only)
        return CpSatLimits(self._plan.seed, outdated, first_only=first_only)

    def _much_better(self) -> Callable[[], bool]:
        """Whether the edges open now would be far fewer by the time this is asked."""
        search = self._search
        cost, bound = search.cost, search.lower_bound

        def is_much_better() -> bool:
            better = search.cost
            if bound is None or better is None:
                return False
            return cost is None or better - bound < _MUCH_BETTER * (cost - bound)

        return is_much_better

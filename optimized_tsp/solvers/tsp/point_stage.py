"""Points too many for a matrix: tours, and the Held-Karp bound beside them."""

from __future__ import annotations

import time

from optimized_tsp.solvers.tsp.graph import PointGraph
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.search import Search
from optimized_tsp.solvers.tsp.tour_stage import TourStage

__all__ = ["solve_points"]

_SHARE_OF_ONE_THREAD = 0.3
"""Of the time, for the bound where it takes the time of the tours."""

_SECONDS_PER_NODE = 1e-4
"""In less time there would be no bound, and the beginning cannot be interrupted."""


def solve_points(search: Search, graph: PointGraph, plan: Plan) -> None:
    """Search for tours until the search is over, with a bound once there is time for one."""
    search.note("engine", "none")
    tours = TourStage(search, graph, plan)
    tours.begin()
    if search.remaining() > _SECONDS_PER_NODE * graph.num_nodes:
        with tours.beside():
            _raise_bound(search, graph, plan, tours)
    tours.finish()


def _raise_bound(search: Search, graph: PointGraph, plan: Plan, tours: TourStage) -> None:
    began = time.monotonic()
    most_s = search.remaining() * (_SHARE_OF_ONE_THREAD if plan.threads < 2 else 1.0)

    def over() -> bool:
        tours.take_turn()
        return search.over() or time.monotonic() - began > most_s

    try:
        from optimized_tsp.solvers.tsp.relaxation.penalty_ascent import PenaltyAscent
        from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule

        tour, cost = search.tour, search.cost
        if tour is None or cost is None or over():
            return
        ascent = PenaltyAscent(cost_rule(graph), tour)
        ascent.run(
            lambda: cost if search.cost is None else search.cost,
            over,
            lambda bound: search.raise_bound(bound, "held_karp"),
        )
    except Exception as error:  # noqa: BLE001 - noted; the tours go on without a bound
        search.note_failure("held_karp", error)
        return
    search.note("held_karp_bound", ascent.lower_bound)
    if ascent.lower_bound is not None:
        search.note("engine", "held_karp")

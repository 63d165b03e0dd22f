"""CP-SAT on directed arcs: proves a tour optimal, finds better ones, or rules all tours out.

One 0-1 variable an arc and `add_circuit`. For sparse and odd graphs (asymmetric, forced edges),
where finding any tour may be the problem; `core_model.py` proves more on symmetric ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ortools.sat.python import cp_model

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.cp_sat import CpSatLimits, CpSatResult, CpSatRun, settle
from optimized_tsp.solvers.tsp.search import Search

__all__ = ["solve_circuit"]


def solve_circuit(
    search: Search,
    source: IntArray,
    target: IntArray,
    limits: CpSatLimits,
    on_bound: Callable[[int], None],
) -> CpSatResult:
    """Search tours on these arcs until it is settled, a limit is reached, or the search is over.

    The best tour so far is the hint; its arcs should be among the given ones. `on_bound` gets
    rising lower bounds of tours on these arcs. For when it returns see `cp_sat.settle`.
    """
    # Every tour leaves every node once, so what that costs at least is left out of the model:
    # smaller numbers are kinder to its linear relaxation.
    costs = search.graph.between(source, target)
    least = np.full(search.graph.num_nodes, NO_EDGE)
    np.minimum.at(least, source, costs)
    run = CpSatRun(search, limits, left_out=int(least.sum()), on_bound=on_bound)

    def work() -> CpSatResult:
        model, literals = _circuit(search, source, target, costs - least[source])
        result = run.solve(model, literals, lambda used: _offer(search, source[used], target[used]))
        return result or CpSatResult()

    return settle(search, run, work)


def _circuit(
    search: Search, source: IntArray, target: IntArray, costs: IntArray
) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    model = cp_model.CpModel()
    literals = [model.new_bool_var("") for _ in range(len(source))]
    model.add_circuit(list(zip(source.tolist(), target.tolist(), literals, strict=True)))
    model.minimize(cp_model.LinearExpr.weighted_sum(literals, costs.tolist()))
    tour = search.tour
    if tour is not None:
        successor = np.empty_like(tour)
        successor[tour] = np.roll(tour, -1)
        for literal, used in zip(literals, (successor[source] == target).tolist(), strict=True):
            model.add_hint(literal, used)
    return model, literals


def _offer(search: Search, source: IntArray, target: IntArray) -> None:
    """Take the circuit that these arcs form."""
    successor = dict(zip(source.tolist(), target.tolist(), strict=True))
    order = [0]
    while (node := successor[order[-1]]) != 0:
        order.append(node)
    if len(order) != search.graph.num_nodes:
        raise AssertionError(f"CP-SAT's circuit visits only {len(order)} nodes")
    search.offer_tour(np.array(order))

"""The engine `cp_sat`: CP-SAT on the arcs that every better tour must keep to."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.circuit_model import solve_circuit
from optimized_tsp.solvers.tsp.core import Core
from optimized_tsp.solvers.tsp.core_model import solve_core
from optimized_tsp.solvers.tsp.cp_sat import CpSatLimits, CpSatResult
from optimized_tsp.solvers.tsp.search import Search

__all__ = ["is_worth_a_model", "settle_arcs", "settle_core", "symmetric_core"]

_ARCS_PER_SECOND = 30_000
"""Arcs a CP-SAT model may have for every second left, so that building it takes a small part."""

_MOST_ARCS = 500_000
"""Arcs a CP-SAT model may have however much time there is: about 1 GB."""


def is_worth_a_model(search: Search, num_arcs: int) -> bool:
    """Whether a model of so many arcs can be built in a small part of what is left."""
    return num_arcs <= min(_MOST_ARCS, _ARCS_PER_SECOND * search.remaining())


def settle_arcs(
    search: Search,
    source: IntArray,
    target: IntArray,
    limits: CpSatLimits,
) -> None:
    """A circuit through directed arcs that hold every tour cheaper than the best one known."""
    _settle(
        search,
        len(source),
        lambda on_bound: solve_circuit(search, source, target, limits, on_bound),
    )


def settle_core(
    search: Search,
    core: Core,
    limits: CpSatLimits,
    *,
    hint: IntArray | None,
    offer: Callable[[IntArray], object],
) -> None:
    """Undirected edges that hold every tour cheaper than the best one known.

    `hint` is the best tour and `offer` takes tours, both in the core's nodes.
    """
    _settle(
        search,
        len(core.costs),
        lambda on_bound: solve_core(search, core, hint, limits, offer=offer, on_bound=on_bound),
    )


def symmetric_core(search: Search, source: IntArray, target: IntArray) -> Core:
    """The core of a symmetric graph that these arcs form."""
    once = np.flatnonzero(source < target)
    tails, heads = source[once], target[once]
    return Core(search.graph.num_nodes, tails, heads, search.graph.between(tails, heads))


def _settle(
    search: Search, num_arcs: int, solve: Callable[[Callable[[int], None]], CpSatResult]
) -> None:
    """Run CP-SAT and take what it proves.

    A bound on these arcs bounds the full problem as long as it is not above the cost that the best
    tour had when they were chosen.
    """
    cutoff = search.cost

    def raise_bound(bound: int) -> None:
        search.raise_bound(bound if cutoff is None else min(bound, cutoff), "cp_sat")

    began = time.monotonic()
    result = solve(raise_bound)
    search.add_to("cp_sat_s", time.monotonic() - began)
    search.add_to("cp_sat_runs", 1)
    search.note("cp_sat_arcs", num_arcs)
    if result.lower_bound is not None:
        raise_bound(result.lower_bound)
    elif result.no_tour and cutoff is None:
        search.rule_out_tours("cp_sat")
    elif result.no_tour and cutoff is not None:
        search.raise_bound(cutoff, "cp_sat")

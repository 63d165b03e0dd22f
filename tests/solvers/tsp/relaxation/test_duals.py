"""Bounds from integer duals: the same as exact fractions give, and never above the optimum."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.relaxation import SymmetricProblem
from optimized_tsp.solvers.tsp.relaxation.cuts import Cut, CutKind, CutTable, comb, subtour
from optimized_tsp.solvers.tsp.relaxation.duals import (
    CoreEdges,
    IntegerDuals,
    finest_shift,
    integer_duals,
)
from tests.solvers.tsp.relaxation.problems import KINDS, random_problem


def some_cuts(num_nodes: int, rng: np.random.Generator) -> list[Cut]:
    cuts = []
    for _ in range(4):
        inside = rng.random(num_nodes) < 0.4
        if 2 <= inside.sum() <= num_nodes - 2 and (cut := subtour(inside)) is not None:
            cuts.append(cut)
    if num_nodes >= 6:
        order = rng.permutation(num_nodes)
        sets = [np.isin(np.arange(num_nodes), order[[i, i + 3]]) for i in range(3)]
        cuts.append(comb(np.isin(np.arange(num_nodes), order[:3]), sets, CutKind.COMB))
    return cuts


def all_edges(problem: SymmetricProblem) -> CoreEdges:
    tails, heads = np.nonzero(np.triu(problem.costs < NO_EDGE // 2))
    return CoreEdges.of(problem, np.sort(problem.keys(tails, heads)))


def exact_reduced_cost(
    problem: SymmetricProblem, duals: IntegerDuals, cuts: list[Cut], tail: int, head: int
) -> Fraction:
    """By the definition, one edge at a time, in fractions."""
    unit = 1 << duals.shift
    value = Fraction(int(problem.costs[tail, head]))
    value -= Fraction(int(duals.nodes[tail]) + int(duals.nodes[head]), unit)
    for cut, dual in zip(cuts, duals.cuts.tolist(), strict=True):
        labels = cut.labels_of_all(problem.num_nodes)
        value -= Fraction(dual, unit) * int(cut.weights[labels[tail], labels[head]])
    return value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_bounds_are_exact_and_hold(kind: str, seed: int) -> None:
    problem, optimum = random_problem(kind, 4 if kind == "asymmetric" else 8, seed)
    rng = np.random.default_rng(seed)
    cuts = some_cuts(problem.num_nodes, rng)
    size = max(1, problem.largest_cost) / 2
    duals = integer_duals(
        finest_shift(problem),
        rng.uniform(-0.3 * size, size, problem.num_nodes),
        CutTable.of(cuts),
        rng.uniform(1e-6, 0.3, len(cuts)) * size,
    )
    assert duals is not None
    edges = all_edges(problem)

    pricing = duals.price_all(problem, 2**60, len(edges.keys))
    reduced = duals.reduced(edges)
    forced = np.isin(edges.keys, problem.forced).astype(np.int64)
    bound = duals.bound(reduced, forced, np.ones_like(forced))

    unit = 1 << duals.shift
    expected = Fraction(2 * int(duals.nodes.sum()), unit)
    expected += sum(
        Fraction(dual, unit) * cut.rhs for dual, cut in zip(duals.cuts.tolist(), cuts, strict=True)
    )
    for place, (tail, head) in enumerate(
        zip(edges.tails.tolist(), edges.heads.tolist(), strict=True)
    ):
        exact = exact_reduced_cost(problem, duals, cuts, tail, head)
        assert Fraction(int(reduced[place]), unit) == exact
        expected += exact if forced[place] else min(exact, Fraction(0))
    assert Fraction(bound, unit) == expected
    assert pricing.bound == bound
    assert pricing.keys.tolist() == edges.keys.tolist()
    assert pricing.reduced.tolist() == reduced.tolist()
    assert optimum is None or duals.whole(bound) <= optimum


def test_only_edges_below_the_limit_are_listed() -> None:
    problem, _ = random_problem("uniform", 8, 1)
    duals = integer_duals(20, np.full(8, 200.0), CutTable.of([]), np.empty(0))
    assert duals is not None
    reduced = duals.reduced(all_edges(problem))
    limit = int(np.median(reduced))

    pricing = duals.price_all(problem, limit, 3)

    assert pricing.count == int((reduced < limit).sum())
    assert len(pricing.keys) == 3


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e12])
def test_duals_that_could_overflow_are_no_duals(value: float) -> None:
    nodes: np.ndarray[tuple[int], np.dtype[np.float64]] = np.full(5, value)

    assert integer_duals(20, nodes, CutTable.of([]), np.empty(0)) is None


def test_the_largest_costs_leave_a_few_bits() -> None:
    largest = (2**53 - 1) // 7
    costs: IntArray = np.full((7, 7), largest)
    problem = SymmetricProblem(costs)

    duals = integer_duals(
        finest_shift(problem), np.full(7, largest / 2), CutTable.of([]), np.empty(0)
    )

    assert duals is not None
    bound = duals.price_all(problem, 0, 10).bound
    assert bound is not None
    assert 7 * largest - 7 <= duals.whole(bound) <= 7 * largest


def test_costs_that_are_too_large_are_refused() -> None:
    with pytest.raises(ValueError, match="largest"):
        SymmetricProblem(np.full((4, 4), 2**53))

"""Lower bounds never exceed an optimum, and ruled out edges are in no better tour."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.assignment import assignment_penalties, doubled_costs
from optimized_tsp.solvers.tsp.held_karp import HeldKarp
from optimized_tsp.solvers.tsp.one_tree import edge_bounds, minimum_one_tree
from tests.solvers.tsp.brute_force import optimal_cost

LARGEST = [1, 30, 10**6, (2**53 - 1) // 8]


def random_costs(random: Random, *, symmetric: bool, missing: float = 0.0) -> IntArray:
    """Costs between four to eight nodes, the larger ones often equal."""
    num_nodes, largest = random.randint(4, 8), random.choice(LARGEST)
    costs = np.array(
        [[random.randint(0, largest) for _ in range(num_nodes)] for _ in range(num_nodes)]
    )
    costs[np.array([[random.random() < missing for _ in costs] for _ in costs])] = NO_EDGE
    if symmetric:
        costs = np.triu(costs) + np.triu(costs).T
    np.fill_diagonal(costs, NO_EDGE)
    limited: IntArray = np.minimum(costs, NO_EDGE)
    return limited


def optimum(costs: IntArray) -> int | None:
    return optimal_cost([[None if c == NO_EDGE else c for c in row] for row in costs.tolist()])


def ascended(held_karp: HeldKarp, upper: int | None = None) -> list[int]:
    bounds: list[int] = []
    held_karp.ascend(upper, None, lambda: False, bounds.append)
    return bounds


def one_trees(costs: IntArray) -> dict[frozenset[tuple[int, int]], int]:
    """All 1-trees of a small graph with their weights."""
    num_nodes = len(costs)
    inner = list(itertools.combinations(range(1, num_nodes), 2))
    roots = list(itertools.combinations([(0, node) for node in range(1, num_nodes)], 2))
    found = {}
    for tree in itertools.combinations(inner, num_nodes - 2):
        joined = {1}
        for _ in tree:
            joined |= {node for edge in tree if joined & set(edge) for node in edge}
        if len(joined) == num_nodes - 1:
            for root in roots:
                edges = frozenset((*tree, *root))
                found[edges] = sum(int(costs[edge]) for edge in edges)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_minimum_one_trees_equal_enumeration(seed: int) -> None:
    random = np.random.default_rng(seed)
    costs = np.triu(random.integers(0, 20, (5, 5)))
    costs = costs + costs.T
    every = one_trees(costs)
    tree = minimum_one_tree(costs)

    assert tree is not None
    assert tree.weight == min(every.values())
    bounds = edge_bounds(costs, tree)
    for edge in itertools.combinations(range(5), 2):
        assert bounds[edge] == min(weight for edges, weight in every.items() if edge in edges)


def test_a_graph_that_needs_missing_edges_has_no_one_tree() -> None:
    costs = np.full((4, 4), NO_EDGE)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        costs[a, b] = costs[b, a] = 1
    assert minimum_one_tree(costs) is None
    assert ascended(HeldKarp(costs)) == []


@pytest.mark.parametrize("seed", range(40))
def test_symmetric_bounds_stay_below_the_optimum(seed: int) -> None:
    costs = random_costs(Random(seed), symmetric=True, missing=0.2 if seed % 2 else 0.0)
    best = optimum(costs)
    bounds = ascended(HeldKarp(costs), best)

    assert bounds == sorted(bounds)
    if best is not None:
        assert all(bound <= best for bound in bounds)


@pytest.mark.parametrize("seed", range(40))
def test_asymmetric_bounds_stay_below_the_optimum(seed: int) -> None:
    costs = random_costs(Random(seed), symmetric=False, missing=0.2 if seed % 2 else 0.0)
    best = optimum(costs)
    doubled, pairs = doubled_costs(costs)
    bounds = ascended(HeldKarp(doubled, pairs, assignment_penalties(costs)), best)

    assert bounds == sorted(bounds)
    if best is not None:
        assert all(bound <= best for bound in bounds)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("symmetric", [True, False])
def test_every_better_tour_uses_promising_edges_only(seed: int, symmetric: bool) -> None:  # noqa: FBT001
    costs = random_costs(Random(seed), symmetric=symmetric)
    num_nodes = len(costs)
    best = optimum(costs)
    assert best is not None
    upper = best + int(costs[costs != NO_EDGE].max()) // 10 + 1
    if symmetric:
        held_karp = HeldKarp(costs)
        ascended(held_karp, upper)
        promising = held_karp.promising(upper)
    else:
        doubled, pairs = doubled_costs(costs)
        held_karp = HeldKarp(doubled, pairs, assignment_penalties(costs))
        ascended(held_karp, upper)
        promising = held_karp.promising(upper)[num_nodes:, :num_nodes]
    for rest in itertools.permutations(range(1, num_nodes)):
        steps = list(zip((0, *rest), (*rest, 0), strict=True))
        if sum(int(costs[step]) for step in steps) < upper:
            assert all(promising[step] for step in steps)


def test_the_assignment_bound_is_there_from_the_start() -> None:
    random = np.random.default_rng(2)
    costs = random.integers(1, 1_000, (30, 30))
    np.fill_diagonal(costs, NO_EDGE)
    doubled, pairs = doubled_costs(costs)
    plain = ascended(HeldKarp(doubled, pairs))[0]
    primed = ascended(HeldKarp(doubled, pairs, assignment_penalties(costs)))[0]
    assert primed > plain


def test_the_ascent_reaches_the_optimum_of_a_grid() -> None:
    x, y = np.divmod(np.arange(36), 6)
    costs = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
    np.fill_diagonal(costs, NO_EDGE)
    assert ascended(HeldKarp(costs), 36)[-1] == 36


def test_an_ascent_that_is_over_stops() -> None:
    costs = random_costs(Random(1), symmetric=True)
    bounds: list[int] = []
    HeldKarp(costs).ascend(None, None, lambda: True, bounds.append)
    assert len(bounds) <= 2

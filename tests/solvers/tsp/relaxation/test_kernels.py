"""Kernels against the plainest way to compute the same."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.branching.segment_kernels import undecided_segments
from optimized_tsp.solvers.tsp.relaxation.cut_kernels import coefficients
from optimized_tsp.solvers.tsp.relaxation.cuts import CutTable, subtour
from optimized_tsp.solvers.tsp.relaxation.small_tour_kernels import best_tour
from optimized_tsp.solvers.tsp.relaxation.subtour_kernels import light_cuts, light_segments
from optimized_tsp.solvers.tsp.relaxation.support import Support


def random_support(num_nodes: int, seed: int, parts: int = 1) -> Support:
    """A convex combination of a few tours: every degree is 2; with `parts`, tours of parts."""
    rng = np.random.default_rng(seed)
    weights: dict[tuple[int, int], float] = {}
    shares = rng.dirichlet(np.ones(3))
    for share in shares:
        for part in np.array_split(np.arange(num_nodes), parts):
            order = rng.permutation(part).tolist()
            for a, b in zip(order, order[1:] + order[:1], strict=True):
                key = (min(a, b), max(a, b))
                weights[key] = weights.get(key, 0.0) + float(share)
    edges = np.array(sorted(weights))
    values = np.array([weights[a, b] for a, b in sorted(weights)])
    return Support(num_nodes, edges[:, 0].copy(), edges[:, 1].copy(), values)


def cut_value(support: Support, inside: NDArray[np.bool_]) -> float:
    leaves = inside[support.tails] != inside[support.heads]
    return float(support.values[leaves].sum())


def lightest_cut(support: Support) -> float:
    """By all sets of nodes."""
    nodes = range(1, support.num_nodes)
    sets = (chosen for size in nodes for chosen in combinations(nodes, size))
    masks = (np.isin(np.arange(support.num_nodes), chosen) for chosen in sets)
    return min(cut_value(support, inside) for inside in masks)


@pytest.mark.parametrize("seed", range(12))
def test_light_cuts_are_found_exactly_when_there_are_any(seed: int) -> None:
    support = random_support(9, seed)
    # Weights are moved about, so that some cuts are light.
    values = support.values * np.random.default_rng(seed).uniform(0.5, 1.2, len(support.values))
    changed = Support(9, support.tails, support.heads, values)

    found = light_cuts(9, changed.tails, changed.heads, changed.values, 1.6, 50)

    lightest = lightest_cut(changed)
    assert (len(found) > 0) == (lightest < 1.6)
    for inside in found:
        assert 0 < inside.sum() < 9
        assert cut_value(changed, inside) < 1.6


def test_a_disconnected_solution_has_a_cut_of_nothing() -> None:
    support = random_support(12, 1, parts=2)

    found = light_cuts(12, support.tails, support.heads, support.values, 1.9, 50)

    assert min(cut_value(support, inside) for inside in found) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_segments_are_the_lightest_ones(seed: int) -> None:
    num_nodes = 14
    support = random_support(num_nodes, seed, parts=2)
    positions = np.random.default_rng(seed).permutation(num_nodes)

    def value(first: int, last: int) -> float:
        return cut_value(support, (positions >= first) & (positions <= last))

    light = light_segments(num_nodes, positions, support.tails, support.heads, support.values, 1.9)
    near = undecided_segments(
        num_nodes, positions, support.tails, support.heads, support.values, 0.5, 4
    )

    for first, last in light.tolist():
        lasts = range(first + 1, min(num_nodes - 1, first + num_nodes // 2 + 1))
        assert value(first, last) == pytest.approx(min(value(first, end) for end in lasts))
        assert value(first, last) < 1.9
    for first, last in near.tolist():
        assert abs(value(first, last) - 3.0) < 0.5
        assert 3 <= last - first + 1 <= num_nodes - 3


@pytest.mark.parametrize("size", [4, 6, 8])
def test_shortest_tours_are_shortest(size: int) -> None:
    rng = np.random.default_rng(size)
    metric = rng.integers(1, 50, (size, size)).astype(np.float64)
    metric = metric + metric.T

    expected = min(
        sum(metric[order[i - 1], order[i]] for i in range(size))
        for order in permutations(range(size))
    )

    length = np.empty((1 << size - 1, size - 1))
    parent = np.empty(length.shape, np.int8)
    order = np.empty(size, np.int64)

    assert best_tour(metric, length, parent, order) == expected
    assert sorted(order.tolist()) == list(range(size))
    assert sum(metric[order[i - 1], order[i]] for i in range(size)) == expected


def test_coefficients_and_slacks_agree_with_the_cuts() -> None:
    support = random_support(15, 3)
    rng = np.random.default_rng(5)
    masks = [rng.random(15) < share for share in (0.2, 0.4, 0.5, 0.7)]
    cuts = [cut for inside in masks if (cut := subtour(inside)) is not None]
    table = CutTable.of(cuts)

    starts, edges, values = coefficients(15, support.tails, support.heads, *table.arrays())
    slacks = support.slacks(table)

    for place, cut in enumerate(cuts):
        expected = cut.coefficients(15, support.tails, support.heads)
        row = np.zeros(len(expected))
        row[edges[starts[place] : starts[place + 1]]] = values[starts[place] : starts[place + 1]]
        assert row.tolist() == expected.tolist()
        assert slacks[place] == pytest.approx(float(expected @ support.values) - cut.rhs)


def test_contraction_keeps_what_is_between_classes() -> None:
    support = random_support(40, 7)

    shrunk, classes = support.shrunk(0.7, 1)

    assert set(classes.tolist()) == set(range(shrunk.num_nodes))
    for a, b, value in zip(shrunk.tails, shrunk.heads, shrunk.values, strict=True):
        one = (classes[support.tails] == a) & (classes[support.heads] == b)
        other = (classes[support.tails] == b) & (classes[support.heads] == a)
        assert value == pytest.approx(float(support.values[one | other].sum()))


def test_a_solution_that_is_a_tour_is_read_as_one() -> None:
    order = np.random.default_rng(2).permutation(10)
    tails, heads = order, np.roll(order, -1)
    support = Support(10, np.minimum(tails, heads), np.maximum(tails, heads), np.ones(10))

    tour = support.tour()

    assert tour is not None
    steps = {
        frozenset(step) for step in zip(tour.tolist(), np.roll(tour, -1).tolist(), strict=True)
    }
    assert steps == {frozenset(step) for step in zip(tails.tolist(), heads.tolist(), strict=True)}


def test_two_round_trips_are_no_tour() -> None:
    tails, heads = np.array([0, 1, 0, 3, 4, 3]), np.array([1, 2, 2, 4, 5, 5])

    assert Support(6, tails, heads, np.ones(6)).tour() is None

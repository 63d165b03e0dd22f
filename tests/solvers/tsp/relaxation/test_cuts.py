"""Cuts: their canonical form, and that every one that is ever found holds for every tour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation import RootRelaxation, SymmetricProblem, progress
from optimized_tsp.solvers.tsp.relaxation.cuts import (
    Cut,
    CutKind,
    CutTable,
    comb,
    cut_from_labels,
    subtour,
)
from tests.solvers.tsp.relaxation.problems import (
    Listening,
    points_matrix,
    random_matrix,
    random_points,
    some_tour,
)

TOURS = 3000


@pytest.fixture(autouse=True)
def local_cuts_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relaxations of small problems go without local cuts, which is faster; here they are meant."""
    monkeypatch.setattr(progress, "_SMALL", 0)


def mask(num_nodes: int, *nodes: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    inside = np.zeros(num_nodes, dtype=bool)
    inside[list(nodes)] = True
    return inside


def left_hand_sides(cut: Cut, tours: IntArray) -> IntArray:
    """Of many tours, one a row."""
    labels = cut.labels_of_all(tours.shape[1])
    sides: IntArray = cut.weights[labels[tours], labels[np.roll(tours, -1, axis=1)]].sum(axis=1)
    return sides


def random_tours(num_nodes: int, seed: int) -> IntArray:
    """Random ones, and random ones changed a little from 0, 1, 2, …: those are near the cuts."""
    rng = np.random.default_rng(seed)
    tours = np.tile(np.arange(num_nodes), (TOURS, 1))
    for tour in tours[: TOURS // 3]:
        rng.shuffle(tour)
    for tour in tours[TOURS // 3 :]:
        for _ in range(rng.integers(1, 8)):
            first, last = sorted(rng.integers(0, num_nodes, 2))
            tour[first:last] = tour[first:last][::-1].copy()
    return tours


def test_a_cut_and_its_complement_are_the_same() -> None:
    few, rest = mask(7, 1, 4), ~mask(7, 1, 4)

    first, second = subtour(few), subtour(rest)

    assert first is not None
    assert second is not None
    assert first.key == second.key
    assert first.nodes.tolist() == [1, 4]
    assert first.rhs == 2


def test_no_cut_around_nothing_or_everything() -> None:
    assert subtour(np.zeros(5, dtype=bool)) is None
    assert subtour(np.ones(5, dtype=bool)) is None


def test_labels_that_no_node_has_make_no_cut() -> None:
    weights = np.array([[0, 1, 1], [1, 0, 2], [1, 2, 0]])

    assert cut_from_labels(np.array([0, 0, 1, 1]), weights, 2, CutKind.LOCAL) is None


def test_a_comb_of_three_teeth() -> None:
    cut = comb(mask(8, 0, 1, 2), [mask(8, 0, 3), mask(8, 1, 4), mask(8, 2, 5)], CutKind.COMB)

    assert cut.rhs == 10
    edges = cut.coefficients(8, np.array([0, 0, 6, 0]), np.array([1, 3, 7, 6]))
    assert edges.tolist() == [2, 1, 0, 2]


@pytest.mark.parametrize(
    "teeth",
    [
        [[0, 3], [1, 4]],
        [[0, 3], [1, 4], [2]],
        [[0, 3], [1, 4], [2, 4]],
        [[0, 3], [1, 4], [5, 6]],
    ],
    ids=["even", "inside the handle", "overlapping", "outside the handle"],
)
def test_what_is_no_comb_is_refused(teeth: list[list[int]]) -> None:
    sets = [mask(8, *tooth) for tooth in teeth]

    with pytest.raises(ValueError, match=r"teeth|tooth"):
        comb(mask(8, 0, 1, 2), sets, CutKind.COMB)


def test_tables_are_the_same_however_they_are_put_together() -> None:
    cuts = [cut for size in (2, 3, 4) if (cut := subtour(mask(9, *range(size)))) is not None]
    cuts.append(comb(mask(9, 0, 1, 2), [mask(9, i, i + 3) for i in range(3)], CutKind.COMB))
    kept = np.array([True, False, True, True])

    whole = CutTable.of(cuts)
    joined = CutTable.of(cuts[:1]) + CutTable.of([]) + CutTable.of(cuts[1:])
    part = whole.only(kept)

    for one, other in zip(whole.arrays(), joined.arrays(), strict=True):
        assert one.tolist() == other.tolist()
    expected = CutTable.of([cut for cut, stays in zip(cuts, kept, strict=True) if stays])
    for one, other in zip(part.arrays(), expected.arrays(), strict=True):
        assert one.tolist() == other.tolist()
    assert whole.largest_weights.tolist() == [int(cut.weights.max()) for cut in cuts]


def clustered(num_nodes: int, seed: int) -> SymmetricProblem:
    return SymmetricProblem(random_matrix("clustered", num_nodes, seed))


def uniform(num_nodes: int, seed: int) -> SymmetricProblem:
    points = random_points(num_nodes, seed)
    order = np.argsort(np.arctan2(points[:, 1] - 500, points[:, 0] - 500))
    return SymmetricProblem(points_matrix(points[order]))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("make", [uniform, clustered])
def test_every_cut_of_a_relaxation_holds_for_every_tour(
    make: Callable[[int, int], SymmetricProblem], seed: int
) -> None:
    problem = make(40, seed)
    tour = some_tour(problem, seed)
    relaxation = RootRelaxation(problem, tour, Listening(problem, tour).listener, seed=seed)

    relaxation.run()

    cuts = [*relaxation.cuts, *relaxation.pool.content[0]]
    tours = random_tours(40, seed)
    assert cuts
    for cut in cuts:
        assert left_hand_sides(cut, tours).min() >= cut.rhs
        assert (cut.weights == cut.weights.T).all()
        assert (np.diag(cut.weights) == 0).all()
        around = cut.weights[:, :, None] + cut.weights[None, :, :]
        assert (around >= cut.weights[:, None, :]).all()


def test_relaxations_find_cuts_of_every_kind() -> None:
    kinds: set[CutKind] = set()
    for seed in range(8):
        problem = uniform(50, seed)
        tour = some_tour(problem, seed)
        relaxation = RootRelaxation(problem, tour, Listening(problem, tour).listener, seed=seed)
        relaxation.run()
        kinds |= {cut.kind for cut in (*relaxation.cuts, *relaxation.pool.content[0])}
        if kinds == set(CutKind) - {CutKind.BRANCH}:
            break

    assert kinds == set(CutKind) - {CutKind.BRANCH}

"""The linear program behind its small interface."""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.relaxation.highs import LinearProgram, LpStatus, SparseVectors

FREE = 1e30


def dense(rows: list[list[float]]) -> SparseVectors:
    matrix = np.array(rows)
    starts = np.concatenate([[0], np.cumsum((matrix != 0).sum(axis=1))])
    places = np.nonzero(matrix)
    return SparseVectors(starts, places[1], matrix[places])


def never() -> bool:
    return False


def two_columns() -> LinearProgram:
    """Minimize 2 x + 3 y with x + y >= 1, both in 0..1."""
    lp = LinearProgram()
    lp.add_rows(np.array([1.0]), np.array([FREE]), dense([[0.0]]))
    lp.add_columns(np.array([2.0, 3.0]), np.zeros(2), np.ones(2), dense([[1.0], [1.0]]))
    return lp


def large(rows: int = 150) -> LinearProgram:
    """A covering problem that takes hundreds of iterations."""
    rng = np.random.default_rng(1)
    columns = 4 * rows
    lp = LinearProgram()
    nothing = SparseVectors(np.zeros(rows + 1, np.int64), np.empty(0, np.int64), np.empty(0))
    lp.add_rows(np.full(rows, 2.0), np.full(rows, FREE), nothing)
    matrix = (rng.random((columns, rows)) < 0.05).astype(float)
    matrix[np.arange(columns), np.arange(columns) % rows] = 1.0
    costs = rng.integers(1, 1000, columns).astype(float)
    lp.add_columns(costs, np.zeros(columns), np.ones(columns), dense(matrix.tolist()))
    return lp


def test_an_optimum_with_its_duals() -> None:
    lp = two_columns()

    assert lp.solve(never) is LpStatus.OPTIMAL

    assert lp.objective == 2.0
    assert lp.values.tolist() == [1.0, 0.0]
    assert 2.0 <= lp.row_duals[0] <= 3.0


def test_rows_come_and_go() -> None:
    lp = two_columns()
    lp.add_rows(np.array([1.0]), np.array([FREE]), dense([[0.0, 1.0]]))
    assert lp.solve(never) is LpStatus.OPTIMAL
    assert lp.objective == 3.0

    lp.delete_rows(np.array([1]))

    assert (lp.num_rows, lp.num_columns) == (1, 2)
    assert lp.solve(never) is LpStatus.OPTIMAL
    assert lp.objective == 2.0


def test_an_infeasible_program_has_a_ray() -> None:
    lp = two_columns()
    lp.bound_columns(np.array([0, 1]), np.zeros(2), np.array([0.5, 0.2]))

    assert lp.solve(never) is LpStatus.INFEASIBLE

    ray = lp.ray
    assert ray is not None
    # ray * 1 > the most that ray * (x + y) can be
    assert ray[0] * 1.0 - ray[0] * 0.7 > 0


def test_a_cutoff_ends_with_duals_that_prove_it() -> None:
    lp = large()
    assert lp.solve(never) is LpStatus.OPTIMAL
    best = lp.objective
    used = np.argsort(-lp.values)[:20]
    lp.bound_columns(used, np.zeros(20), np.zeros(20))

    assert lp.solve(never, cutoff=best * 1.01) is LpStatus.CUTOFF

    assert lp.objective > best * 1.01
    assert len(lp.row_duals) == lp.num_rows


def test_a_basis_is_a_place_to_come_back_to() -> None:
    lp = large()
    assert lp.solve(never) is LpStatus.OPTIMAL
    best, basis = lp.objective, lp.basis
    used = np.argsort(-lp.values)[:20]
    lp.bound_columns(used, np.zeros(20), np.zeros(20))
    assert lp.solve(never) is LpStatus.OPTIMAL
    assert lp.objective > best

    lp.bound_columns(used, np.zeros(20), np.ones(20))
    lp.basis = basis
    before = lp.iterations
    assert lp.solve(never) is LpStatus.OPTIMAL

    assert abs(lp.objective - best) < 1e-6
    assert lp.iterations == before


def test_limited_iterations_and_stopping() -> None:
    lp = large()

    assert lp.solve(never, iterations=5) is LpStatus.LIMIT
    assert lp.solve(lambda: True, iterations=5) is LpStatus.LIMIT
    assert lp.solve(never) is LpStatus.OPTIMAL


def test_a_copy_for_trials_leaves_the_program_as_it_is() -> None:
    lp = large()
    assert lp.solve(never) is LpStatus.OPTIMAL
    objective, values = lp.objective, lp.values

    copy = lp.copy_for_trials()
    copy.bound_columns(np.array([int(values.argmax())]), np.zeros(1), np.zeros(1))
    assert copy.solve(never) is LpStatus.OPTIMAL

    assert copy.objective > objective
    assert lp.objective == objective
    assert np.array_equal(lp.values, values)
    assert lp.solve(never) is LpStatus.OPTIMAL
    assert lp.objective == objective

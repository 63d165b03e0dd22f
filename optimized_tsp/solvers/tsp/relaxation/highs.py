"""A linear program that is changed and solved again and again, by HiGHS's dual simplex method.

Q. Huangfu and J. A. J. Hall, "Parallelizing the dual revised simplex method", 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import highspy
import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray

__all__ = ["LinearProgram", "LpStatus", "SparseVectors"]

_INFINITY = 1e30
_NO_LIMIT = 2**31 - 1
_DEVEX = 1
_WORK_PER_SLICE = 2_000_000
"""Iterations times rows and columns between two looks at the clock: well below a second."""


class LpStatus(Enum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    """There is a dual ray: `LinearProgram.ray`."""
    CUTOFF = "cutoff"
    """The duals prove that the optimum is above the cutoff."""
    LIMIT = "limit"
    """Out of iterations, or stopped; the objective is a bound if it is finite."""
    FAILED = "failed"


class SparseVectors:
    """Rows or columns in compressed form: vector i has entries `starts[i]:starts[i + 1]`."""

    def __init__(self, starts: IntArray, indices: IntArray, values: FloatArray) -> None:
        self.starts = starts.astype(np.int32)
        self.indices = indices.astype(np.int32)
        self.values = np.asarray(values, dtype=np.float64)


class LinearProgram:
    """Minimize costs over bounded columns; rows have lower and upper sides."""

    def __init__(self) -> None:
        self._highs = highspy.Highs()
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("parallel", "off"),
            ("presolve", "off"),
            ("solver", "simplex"),
            ("simplex_scale_strategy", 0),  # all coefficients are small integers already
        ):
            self._highs.setOptionValue(name, value)
        self.iterations = 0
        self.solves = 0

    def copy_for_trials(self) -> LinearProgram:
        """The same program at the same basis, to be changed and solved for a few iterations.

        It chooses rows by Devex weights: those of steepest edge, better for long solves, take as
        long to begin with as fifty iterations. This program keeps its factors and weights.
        """
        copy = LinearProgram()
        copy._highs.setOptionValue("simplex_dual_edge_weight_strategy", _DEVEX)
        _check(copy._highs.passModel(self._highs.getLp()))
        copy.basis = self.basis
        return copy

    @property
    def num_rows(self) -> int:
        return int(self._highs.getNumRow())

    @property
    def num_columns(self) -> int:
        return int(self._highs.getNumCol())

    def add_rows(self, lower: FloatArray, upper: FloatArray, rows: SparseVectors) -> None:
        """Add constraints lower <= row . x <= upper."""
        count = len(rows.values)
        _check(
            self._highs.addRows(
                len(lower), lower, upper, count, rows.starts[:-1], rows.indices, rows.values
            )
        )

    def add_columns(
        self, costs: FloatArray, lower: FloatArray, upper: FloatArray, columns: SparseVectors
    ) -> None:
        """Add variables with their entries in the rows."""
        count = len(columns.values)
        starts = columns.starts[:-1]
        _check(
            self._highs.addCols(
                len(costs), costs, lower, upper, count, starts, columns.indices, columns.values
            )
        )

    def delete_rows(self, places: IntArray) -> None:
        _check(self._highs.deleteRows(len(places), places.astype(np.int32)))

    def bound_columns(self, places: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        _check(self._highs.changeColsBounds(len(places), places.astype(np.int32), lower, upper))

    def bound_row(self, place: int, lower: float, upper: float) -> None:
        _check(self._highs.changeRowBounds(place, lower, upper))

    def solve(
        self,
        over: Callable[[], bool],
        *,
        iterations: int | None = None,
        cutoff: float | None = None,
    ) -> LpStatus:
        """Solve from the present basis; `over` is asked every now and then (LIMIT if so)."""
        self._highs.setOptionValue("objective_bound", _INFINITY if cutoff is None else cutoff)
        piece = max(50, _WORK_PER_SLICE // (self.num_rows + self.num_columns))
        left = _NO_LIMIT if iterations is None else iterations
        self.solves += 1
        while True:
            self._highs.setOptionValue("simplex_iteration_limit", min(piece, left))
            self._highs.run()
            done = int(self._highs.getInfo().simplex_iteration_count)
            self.iterations += done
            left -= max(done, 1)
            status = _STATUS.get(self._highs.getModelStatus(), LpStatus.FAILED)
            if status is not LpStatus.LIMIT or left <= 0 or over():
                return status

    @property
    def objective(self) -> float:
        return float(self._highs.getInfo().objective_function_value)

    @property
    def values(self) -> FloatArray:
        return np.array(self._highs.getSolution().col_value)

    @property
    def row_duals(self) -> FloatArray:
        return np.array(self._highs.getSolution().row_dual)

    @property
    def ray(self) -> FloatArray | None:
        """Row multipliers that show that there is no solution, after `INFEASIBLE`."""
        _, exists, ray = self._highs.getDualRay()
        return np.array(ray, dtype=np.float64) if exists else None

    @property
    def basis(self) -> Any:
        """A copy of the present basis, to come back to."""
        return self._highs.getBasis()

    @basis.setter
    def basis(self, basis: Any) -> None:
        _check(self._highs.setBasis(basis))


_STATUS = {
    highspy.HighsModelStatus.kOptimal: LpStatus.OPTIMAL,
    highspy.HighsModelStatus.kInfeasible: LpStatus.INFEASIBLE,
    highspy.HighsModelStatus.kObjectiveBound: LpStatus.CUTOFF,
    highspy.HighsModelStatus.kIterationLimit: LpStatus.LIMIT,
}


def _check(status: object) -> None:
    if status == highspy.HighsStatus.kError:
        raise RuntimeError("HiGHS refused a change of the linear program")

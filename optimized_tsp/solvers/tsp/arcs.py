"""Edges and matrix rows of an instance as numpy columns."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.schemas import Edge

__all__ = ["NO_EDGE", "IntArray", "edge_columns", "matrix_row"]

IntArray = NDArray[np.int64]

NO_EDGE = 2**61
"""Stands for a missing edge among costs: larger than any cost, and adding to it cannot overflow."""


def edge_columns(edges: list[Edge]) -> tuple[IntArray, IntArray, IntArray]:
    """Sources, targets and costs, in the order of the edges."""
    source, target, cost = (
        np.fromiter(map(attrgetter(name), edges), np.int64, len(edges))
        for name in ("source", "target", "cost")
    )
    return source, target, cost


def matrix_row(row: list[int | None]) -> IntArray:
    """A row of the matrix with `NO_EDGE` for null."""
    if None in row:
        row = [NO_EDGE if cost is None else cost for cost in row]
    return np.array(row, dtype=np.int64)

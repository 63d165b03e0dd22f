"""The linear program of tours: some edges, the degree of every node, some cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.cut_kernels import coefficients
from optimized_tsp.solvers.tsp.relaxation.cuts import Cut, CutTable
from optimized_tsp.solvers.tsp.relaxation.duals import IntegerDuals, finest_shift, integer_duals
from optimized_tsp.solvers.tsp.relaxation.graph_kernels import FloatArray
from optimized_tsp.solvers.tsp.relaxation.highs import LinearProgram, LpStatus, SparseVectors
from optimized_tsp.solvers.tsp.relaxation.problem import SymmetricProblem
from optimized_tsp.solvers.tsp.relaxation.support import Support

__all__ = ["Row", "TourLp"]

_FREE = 1e30
_SLACK = 1e-5
_LP_COST_BITS = 24
_RAY_SHIFT = 24


@dataclass(eq=False)
class Row:
    """A cut in the linear program; `pinned` rows are never purged."""

    cut: Cut
    lower: int
    upper: int | None = None
    age: int = 0
    pinned: bool = False


@dataclass
class TourLp:
    """Edges are columns (numbered as in `keys`), nodes and then cuts are rows.

    Costs are divided by a power of two inside when they are large; everything that goes in and
    out is in units of costs.
    """

    problem: SymmetricProblem
    keys: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    rows: list[Row] = field(default_factory=list)
    values: FloatArray = field(default_factory=lambda: np.empty(0))
    objective: float = -np.inf

    def __post_init__(self) -> None:
        self.lp = LinearProgram()
        self.shift = finest_shift(self.problem)
        self._scale = float(2 ** max(0, self.problem.largest_cost.bit_length() - _LP_COST_BITS))
        self.table = CutTable.of([])
        """The cuts of the rows."""
        self._row_of: dict[bytes, Row] = {}
        self._duals: FloatArray = np.empty(0)
        nodes = self.problem.num_nodes
        twos = np.full(nodes, 2.0)
        nothing = np.empty(0, dtype=np.int64)
        empty = SparseVectors(np.zeros(nodes + 1, dtype=np.int64), nothing, np.empty(0))
        self.lp.add_rows(twos, twos, empty)
        first, self.keys = self.keys, np.empty(0, np.int64)
        self.tails: IntArray = self.keys
        self.heads: IntArray = self.keys
        self.lower: FloatArray = np.empty(0)
        self.upper: FloatArray = np.empty(0)
        self.add_edges(first)

    @property
    def tolerance(self) -> float:
        """The cost that the program's own unit stands for."""
        return self._scale

    def add_edges(self, keys: IntArray) -> int:
        """Add columns for the edges that are not there yet; returns how many."""
        keys = np.setdiff1d(keys, self.keys)
        if len(keys) == 0:
            return 0
        tails, heads = self.problem.ends(keys)
        count, nodes = len(keys), self.problem.num_nodes
        starts, edges, values = coefficients(nodes, tails, heads, *self.table.arrays())
        cut_rows = np.repeat(np.arange(len(self.rows)), np.diff(starts)) + nodes
        every = np.arange(count)
        matrix = csr_array(
            (
                np.concatenate([np.ones(2 * count), values]),
                (np.concatenate([every, every, edges]), np.concatenate([tails, heads, cut_rows])),
            ),
            shape=(count, nodes + len(self.rows)),
        )
        lower = np.isin(keys, self.problem.forced).astype(np.float64)
        costs = self.problem.costs[tails, heads] / self._scale
        columns = SparseVectors(matrix.indptr, matrix.indices, matrix.data)
        self.lp.add_columns(costs, lower, np.ones(count), columns)
        self.keys = np.concatenate([self.keys, keys])
        self.tails = np.concatenate([self.tails, tails])
        self.heads = np.concatenate([self.heads, heads])
        self.lower = np.concatenate([self.lower, lower])
        self.upper = np.concatenate([self.upper, np.ones(count)])
        return count

    def bound_edges(self, lower: FloatArray, upper: FloatArray) -> None:
        """Set the bounds of all columns."""
        changed = np.flatnonzero((lower != self.lower) | (upper != self.upper))
        if len(changed) > 0:
            self.lp.bound_columns(changed, lower[changed], upper[changed])
            self.lower, self.upper = lower.copy(), upper.copy()

    def has(self, cut: Cut) -> bool:
        """Whether the cut is a row."""
        return cut.key in self._row_of

    def row_of(self, cut: Cut) -> Row | None:
        """The row of a cut, if there is one."""
        return self._row_of.get(cut.key)

    def add_cuts(self, cuts: Iterable[Cut]) -> list[Cut]:
        """Add rows for the cuts that are not there yet; returns those."""
        new = {cut.key: cut for cut in cuts if not self.has(cut)}
        self.add_rows([Row(cut, cut.rhs) for cut in new.values()])
        return list(new.values())

    def add_rows(self, rows: list[Row]) -> None:
        """Add rows of cuts that are not there yet."""
        if not rows:
            return
        table = CutTable.of([row.cut for row in rows])
        self.table += table
        vectors = coefficients(self.problem.num_nodes, self.tails, self.heads, *table.arrays())
        lower = np.array([row.lower for row in rows], dtype=np.float64)
        upper = np.array([_FREE if row.upper is None else row.upper for row in rows], np.float64)
        self.lp.add_rows(lower, upper, SparseVectors(*vectors))
        self.rows.extend(rows)
        self._row_of.update((row.cut.key, row) for row in rows)

    def bound_row(self, row: Row, lower: int, upper: int | None) -> None:
        """Change the sides of a row."""
        row.lower, row.upper = lower, upper
        place = self.problem.num_nodes + self.rows.index(row)
        self.lp.bound_row(place, float(lower), _FREE if upper is None else float(upper))

    def delete_rows(self, places: list[int]) -> None:
        """Delete cuts by their numbers."""
        if not places:
            return
        kept = np.ones(len(self.rows), dtype=bool)
        kept[places] = False
        for place in places:
            del self._row_of[self.rows[place].cut.key]
        self.rows = [row for row, stays in zip(self.rows, kept.tolist(), strict=True) if stays]
        of_cuts = self._duals[self.problem.num_nodes :]
        left = of_cuts[kept[: len(of_cuts)]]
        self._duals = np.concatenate([self._duals[: self.problem.num_nodes], left])
        self.table = self.table.only(kept)
        self.lp.delete_rows(np.array(places) + self.problem.num_nodes)

    def purge(self, most_age: int, at_least: int) -> list[Cut]:
        """Count how long rows have been slack, and delete those of age `most_age`.

        Nothing is deleted when there are only `at_least` or fewer. Returns the deleted cuts. The
        solution stays what it is, an optimum, and its duals too: there is no need to solve again.
        """
        slacks = self.slacks()
        old = []
        for place, (row, slack) in enumerate(zip(self.rows, slacks.tolist(), strict=True)):
            row.age = row.age + 1 if slack > _SLACK else 0
            if row.age >= most_age and not row.pinned:
                old.append(place)
        if len(old) <= at_least:
            return []
        cuts = [self.rows[place].cut for place in old]
        self.delete_rows(old)
        return cuts

    def solve(
        self,
        over: Callable[[], bool],
        *,
        iterations: int | None = None,
        cutoff: float | None = None,
    ) -> LpStatus:
        """Solve; afterwards `values` and `objective` are those of the optimum, if there is one."""
        scaled = None if cutoff is None else cutoff / self._scale
        status = self.lp.solve(over, iterations=iterations, cutoff=scaled)
        if status in (LpStatus.OPTIMAL, LpStatus.CUTOFF, LpStatus.LIMIT):
            self.objective = self.lp.objective * self._scale
            self._duals = self.lp.row_duals * self._scale
        if status is LpStatus.OPTIMAL:
            self.values = self.lp.values
        return status

    def support(self, least: float = 1e-7) -> Support:
        """The edges with a value above `least`."""
        used = self.values > least
        return Support(
            self.problem.num_nodes, self.tails[used], self.heads[used], self.values[used]
        )

    def slacks(self) -> FloatArray:
        """How much the solution has to spare in each row, as a cut."""
        return self.support(1e-9).slacks(self.table)

    @property
    def raw_duals(self) -> FloatArray:
        """The duals of the last solve, for `integers`."""
        return self._duals

    def duals(self) -> IntegerDuals | None:
        """The duals of the last solve as integers, 0 for rows added since; None if of no use."""
        return self.integers(self._duals)

    def integers(self, duals: FloatArray) -> IntegerDuals | None:
        """Duals of a program with the present rows as integers; None if they are of no use."""
        return self._integers(self.shift, duals)

    def ray(self) -> IntegerDuals | None:
        """The dual ray of an infeasible program as integers (see `CoreBound` for its use)."""
        ray = self.lp.ray
        if ray is None or not np.abs(ray).max(initial=0.0) > 0.0:
            return None
        return self._integers(_RAY_SHIFT, ray / np.abs(ray).max())

    def _integers(self, shift: int, duals: FloatArray) -> IntegerDuals | None:
        nodes = self.problem.num_nodes
        new_rows = nodes + len(self.rows) - len(duals)
        if new_rows < 0 or len(duals) == 0:
            return None
        duals = np.concatenate([duals, np.zeros(new_rows)])
        return integer_duals(
            shift,
            duals[:nodes],
            self.table,
            duals[nodes:],
            np.array([row.lower for row in self.rows], dtype=np.int64),
            np.array([row.upper is not None for row in self.rows], dtype=bool),
        )

"""Cuts in one form: labelled nodes, a small integer metric between labels, a right-hand side.

An edge from a node with label p to one with label q has the coefficient `weights[p, q]`, and every
tour has `sum of coefficients >= rhs`. Subtour constraints, blossoms, combs and local cuts all are
of this form, so one kernel prices edges and one tightens cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray

__all__ = ["Cut", "CutKind", "CutTable", "comb", "cut_from_labels", "subtour"]

_SUBTOUR = np.array([[0, 1], [1, 0]], dtype=np.int64)
_MOST_SETS = 60
"""Sets of a comb, so that the sets a node is in fit into one integer."""


class CutKind(Enum):
    """Where a cut comes from; its name in the statistics."""

    SUBTOUR = "subtour"
    BLOSSOM = "blossom"
    COMB = "comb"
    TIGHTENED = "tightened"
    LOCAL = "local"
    BRANCH = "branch"
    """Not a cut by itself: the set of nodes of a branching decision."""


@dataclass(frozen=True, eq=False)
class Cut:
    """An inequality valid for every tour.

    `nodes` are those with a label other than 0 (increasing), `labels` theirs, `weights` a k x k
    symmetric integer matrix with zeros on its diagonal that satisfies the triangle inequality.
    """

    nodes: IntArray
    labels: IntArray
    weights: IntArray
    rhs: int
    kind: CutKind

    @cached_property
    def key(self) -> bytes:
        """The same for two cuts exactly if they are the same inequality in the same form."""
        digest = blake2b(digest_size=16)
        for part in (self.nodes, self.labels, self.weights):
            digest.update(part.tobytes())
            digest.update(b"|")
        digest.update(str(self.rhs).encode())
        return digest.digest()

    def labels_of_all(self, num_nodes: int) -> IntArray:
        """The label of every node."""
        labels = np.zeros(num_nodes, dtype=np.int64)
        labels[self.nodes] = self.labels
        return labels

    def coefficients(self, num_nodes: int, tails: IntArray, heads: IntArray) -> IntArray:
        """Coefficients of some edges."""
        labels = self.labels_of_all(num_nodes)
        result: IntArray = self.weights[labels[tails], labels[heads]]
        return result


def cut_from_labels(labels: IntArray, weights: IntArray, rhs: int, kind: CutKind) -> Cut | None:
    """The canonical form of a cut: the most frequent label becomes 0, others go by first node.

    None when a label is not used by any node: then the inequality need not hold.
    """
    size = len(weights)
    population = np.bincount(labels, minlength=size)
    if len(population) > size or not population.all():
        return None
    largest = int(population.argmax())
    nodes = np.flatnonzero(labels != largest)
    old, first, places = np.unique(labels[nodes], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first)) + 1
    order = np.empty(size, dtype=np.int64)
    order[0] = largest
    order[rank] = old
    return Cut(nodes, rank[places], np.ascontiguousarray(weights[np.ix_(order, order)]), rhs, kind)


def subtour(inside: NDArray[np.bool_], kind: CutKind = CutKind.SUBTOUR) -> Cut | None:
    """At least two edges leave a set of nodes; None for the empty set and for all nodes."""
    return cut_from_labels(inside.astype(np.int64), _SUBTOUR, 2, kind)


def comb(handle: NDArray[np.bool_], teeth: Sequence[NDArray[np.bool_]], kind: CutKind) -> Cut:
    """The comb inequality: x(cut(handle)) + sum of x(cut(tooth)) >= 3 * teeth + 1.

    Teeth are disjoint, an odd number of three or more, and each has nodes inside and outside of
    the handle (else ValueError). V. Chvatal, "Edmonds polytopes and weakly hamiltonian graphs",
    1973; M. Groetschel and M. W. Padberg, 1979.
    """
    count = len(teeth)
    if count < 3 or count % 2 == 0 or count >= _MOST_SETS:
        raise ValueError(f"a comb has an odd number of teeth from 3 on, not {count}")
    code = handle.astype(np.int64)
    for place, tooth in enumerate(teeth, start=1):
        both = bool((tooth & handle).any()) and bool((tooth & ~handle).any())
        if not both or (code[tooth] > 1).any():
            raise ValueError("a tooth overlaps another one or does not cross the handle")
        code |= tooth.astype(np.int64) << place
    classes, labels = np.unique(code, return_inverse=True)
    weights = np.bitwise_count(classes[:, None] ^ classes[None, :]).astype(np.int64)
    cut = cut_from_labels(labels, weights, 3 * count + 1, kind)
    if cut is None:
        raise AssertionError("every class of a comb has a node")
    return cut


@dataclass(frozen=True)
class CutTable:
    """Some cuts as flat arrays, for the kernels: `arrays()` in the order they take them.

    Cut i has its nodes and labels at `starts[i]:starts[i + 1]`, and `sizes[i]`**2 weights from
    `offsets[i]` on.
    """

    starts: IntArray
    nodes: IntArray
    labels: IntArray
    offsets: IntArray
    sizes: IntArray
    weights: IntArray
    rhs: IntArray

    @classmethod
    def of(cls, cuts: Sequence[Cut]) -> CutTable:
        """A table of these cuts."""
        sizes: IntArray = np.array([len(cut.weights) for cut in cuts], dtype=np.int64)
        return cls(
            _starts(np.array([len(cut.nodes) for cut in cuts], dtype=np.int64)),
            _joined([cut.nodes for cut in cuts]),
            _joined([cut.labels for cut in cuts]),
            _starts(sizes * sizes)[:-1].copy(),
            sizes,
            _joined([cut.weights.ravel() for cut in cuts]),
            np.array([cut.rhs for cut in cuts], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def __add__(self, other: CutTable) -> CutTable:
        """The cuts of both tables."""
        return CutTable(
            np.concatenate([self.starts, other.starts[1:] + self.starts[-1]]),
            np.concatenate([self.nodes, other.nodes]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.offsets, other.offsets + len(self.weights)]),
            np.concatenate([self.sizes, other.sizes]),
            np.concatenate([self.weights, other.weights]),
            np.concatenate([self.rhs, other.rhs]),
        )

    def only(self, kept: NDArray[np.bool_]) -> CutTable:
        """The cuts with a True, in the same order."""
        counts = np.diff(self.starts)
        of_node = np.repeat(kept, counts)
        of_weight = np.repeat(kept, self.sizes * self.sizes)
        sizes = self.sizes[kept]
        return CutTable(
            _starts(counts[kept]),
            self.nodes[of_node],
            self.labels[of_node],
            _starts(sizes * sizes)[:-1].copy(),
            sizes,
            self.weights[of_weight],
            self.rhs[kept],
        )

    @cached_property
    def largest_weights(self) -> IntArray:
        """The largest coefficient of each cut."""
        if len(self) == 0:
            return np.empty(0, dtype=np.int64)
        largest: IntArray = np.maximum.reduceat(self.weights, self.offsets)
        return largest

    def arrays(self) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
        """Starts, nodes, labels, offsets, sizes and weights."""
        return self.starts, self.nodes, self.labels, self.offsets, self.sizes, self.weights


def _joined(parts: list[IntArray]) -> IntArray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _starts(counts: IntArray) -> IntArray:
    starts: IntArray = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts

"""Violated local cuts, found on contracted graphs around fractional nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.cuts import Cut, CutKind, cut_from_labels
from optimized_tsp.solvers.tsp.relaxation.local_cut_kernels import local_cuts
from optimized_tsp.solvers.tsp.relaxation.support import Support

__all__ = ["violated_local_cuts"]

_CONTRACTIONS = (0.0, 1.0, 0.5)
_SEEDS_PER_CALL = 15
"""So that a call takes a fraction of a second: between two calls one can stop."""
_ROUNDS = 2000
_TOLERANCE = 2e-3
_MOST_PER_CALL = 20
_FEWEST_CLASSES = 6


def violated_local_cuts(
    support: Support,
    *,
    classes: int,
    seeds: int,
    seed: int,
    over: Callable[[], bool],
    threads: int = 1,
) -> list[Cut]:
    """Local cuts on `classes` classes (at most 14), grown from up to `seeds` nodes three times.

    The same whatever the number of `threads`.
    """
    jobs = list(_jobs(support, seeds, seed))

    def run(job: tuple[Support, IntArray, IntArray, int]) -> list[Cut]:
        shrunk, labels, start_nodes, job_seed = job
        if over():
            return []
        size = min(classes, shrunk.num_nodes)
        found = local_cuts(
            shrunk.num_nodes,
            *shrunk.adjacency,
            start_nodes,
            size,
            _ROUNDS,
            _TOLERANCE,
            _MOST_PER_CALL,
            job_seed,
        )
        return [cut for cut in _cuts(labels, *found) if cut is not None]

    if threads <= 1:
        return [cut for job in jobs for cut in run(job)]
    with ThreadPoolExecutor(threads) as executor:
        return [cut for cuts in executor.map(run, jobs) for cut in cuts]


def _jobs(
    support: Support, seeds: int, seed: int
) -> Iterable[tuple[Support, IntArray, IntArray, int]]:
    """Contracted graphs with their classes, and a few fractional nodes of each to start from."""
    for place, probability in enumerate(_CONTRACTIONS):
        shrunk, labels = support.shrunk(probability, seed + 1000 * place)
        if shrunk.num_nodes < _FEWEST_CLASSES:
            continue
        fractional = (shrunk.values > 0.01) & (shrunk.values < 0.99)
        ends = np.unique(np.concatenate([shrunk.tails[fractional], shrunk.heads[fractional]]))
        np.random.default_rng(seed + place).shuffle(ends)
        ends = ends[:seeds]
        for begin in range(0, len(ends), _SEEDS_PER_CALL):
            part = ends[begin : begin + _SEEDS_PER_CALL].copy()
            yield shrunk, labels, part, seed + 1000 * place + begin


def _cuts(
    classes: IntArray, labels: IntArray, metrics: IntArray, sizes: IntArray, rhs: IntArray
) -> Iterable[Cut | None]:
    for found in range(len(rhs)):
        size = int(sizes[found])
        weights = metrics[found, :size, :size].copy()
        yield cut_from_labels(labels[found][classes], weights, int(rhs[found]), CutKind.LOCAL)

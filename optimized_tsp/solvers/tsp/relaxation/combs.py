"""Violated blossoms and combs.

A blossom's teeth are edges. On a graph in which random tight pairs have been contracted, blossoms
are combs of the original one: so one search finds both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.relaxation.comb_kernels import odd_components
from optimized_tsp.solvers.tsp.relaxation.cuts import Cut, CutKind, comb
from optimized_tsp.solvers.tsp.relaxation.support import Support

__all__ = ["violated_combs"]

_BLOSSOM_MARGINS = (1e-6, 0.05, 0.1, 0.2, 0.3)
_COMB_MARGINS = (1e-6, 0.1, 0.25)
_CONTRACTIONS = (0.0, 0.3, 0.5, 0.7, 1.0, 0.5, 0.3, 0.7)
_LEAST = 0.02
_MOST_HANDLES = 200
_MOST_TEETH = 55
_FEWEST_CLASSES = 6


def violated_combs(support: Support, seed: int) -> list[Cut]:
    """Blossoms and combs that the solution violates, each once."""
    found: dict[bytes, Cut] = {}
    everything = np.arange(support.num_nodes)
    for margin in _BLOSSOM_MARGINS:
        found = dict(_blossoms(support, everything, margin, CutKind.BLOSSOM)) | found
    for place, probability in enumerate(_CONTRACTIONS):
        shrunk, classes = support.shrunk(probability, seed + place)
        if shrunk.num_nodes >= _FEWEST_CLASSES:
            for margin in _COMB_MARGINS:
                found = dict(_blossoms(shrunk, classes, margin, CutKind.COMB)) | found
    return list(found.values())


def _blossoms(
    support: Support, classes: IntArray, margin: float, kind: CutKind
) -> Iterator[tuple[bytes, Cut]]:
    """Combs that are blossoms of a contracted graph, by their keys; `classes` of original nodes."""
    labels, handles, starts, teeth = odd_components(
        support.num_nodes,
        support.tails,
        support.heads,
        support.values,
        margin,
        _LEAST,
        _MOST_HANDLES,
    )
    for place, handle in enumerate(handles.tolist()):
        chosen = teeth[starts[place] : starts[place + 1]]
        if len(chosen) <= _MOST_TEETH:
            tails, heads = support.tails[chosen].tolist(), support.heads[chosen].tolist()
            sets = [(classes == a) | (classes == b) for a, b in zip(tails, heads, strict=True)]
            cut = comb((labels == handle)[classes], sets, kind)
            yield cut.key, cut

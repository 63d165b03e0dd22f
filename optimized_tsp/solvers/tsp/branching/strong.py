"""Strong branching: a few candidates are tried before one is chosen.

D. Applegate, R. Bixby, V. Chvatal and W. Cook, "The Traveling Salesman Problem", 2006, chapter 14.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimized_tsp.solvers.tsp.branching.candidates import candidate_columns, candidate_sets
from optimized_tsp.solvers.tsp.branching.node import Decision, EdgeDecision, Node, SetDecision
from optimized_tsp.solvers.tsp.branching.subproblem import Probe, Subproblem
from optimized_tsp.solvers.tsp.relaxation.separation import Separator

__all__ = ["branch"]

_COLUMNS = 6
_ITERATIONS = 40
_LEAST_GAIN = 1e-4


@dataclass(frozen=True)
class _Tried:
    """A candidate with its two sides."""

    score: float
    probes: tuple[Probe, Probe]


def branch(subproblem: Subproblem, separator: Separator, node: Node) -> list[Node] | None:
    """The children of a solved node, none if all are pruned; None if there is nothing to try."""
    with subproblem.trials():
        return _branch(subproblem, separator, node)


def _branch(subproblem: Subproblem, separator: Separator, node: Node) -> list[Node] | None:
    best: _Tried | None = None
    objective = subproblem.lp.objective
    cutoff = subproblem.cutoff
    gap = max(1.0, abs(objective)) if cutoff is None else max(cutoff - objective, 1e-6)
    for sides in _candidates(subproblem, separator, node):
        probes = _both(subproblem, sides)
        if any(probe.pruned for probe in probes):
            # One side is settled; at most the other one is left, and that is a gain already.
            return _children(subproblem, node, probes)
        gains = [min(max(probe.objective - objective, _LEAST_GAIN * gap), gap) for probe in probes]
        score = gains[0] * gains[1]
        if best is None or score > best.score:
            best = _Tried(score, probes)
    return None if best is None else _children(subproblem, node, best.probes)


def _candidates(
    subproblem: Subproblem, separator: Separator, node: Node
) -> list[tuple[Decision, Decision]]:
    taken = {decision.cut.key for decision in node.decisions if isinstance(decision, SetDecision)}
    columns = candidate_columns(subproblem.lp, _COLUMNS)
    edges = [subproblem.edge_of_column(column) for column in columns]
    pairs: list[tuple[Decision, Decision]] = [
        (EdgeDecision(edge, used=False), EdgeDecision(edge, used=True)) for edge in edges
    ]
    pairs.extend(
        (SetDecision(cut, closed=True), SetDecision(cut, closed=False))
        for cut in candidate_sets(subproblem.lp, separator, taken)
    )
    return pairs


def _both(subproblem: Subproblem, sides: tuple[Decision, Decision]) -> tuple[Probe, Probe]:
    first, second = (subproblem.probe(side, _ITERATIONS) for side in sides)
    return first, second


def _children(subproblem: Subproblem, node: Node, probes: tuple[Probe, Probe]) -> list[Node]:
    children = []
    for probe in probes:
        if not probe.pruned:
            usable = np.isfinite(probe.objective)
            bound = subproblem.bound_of(probe) if usable else subproblem.bound
            if not subproblem.cut_off(bound):
                children.append(node.child(bound, probe.decision))
    return children

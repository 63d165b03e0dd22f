"""Nodes of the tree: the problem with some decisions taken."""

from __future__ import annotations

from dataclasses import dataclass

from optimized_tsp.solvers.tsp.relaxation.cuts import Cut

__all__ = ["Decision", "EdgeDecision", "Node", "SetDecision"]


@dataclass(frozen=True)
class EdgeDecision:
    """Tours that use an edge (a number in the core), or those that do not."""

    edge: int
    used: bool


@dataclass(frozen=True)
class SetDecision:
    """Tours that enter a set of nodes once (`closed`), or those that do so twice or more.

    The cut is the set's subtour constraint; exactly two or at least four edges leave the set.
    """

    cut: Cut
    closed: bool

    @property
    def sides(self) -> tuple[int, int | None]:
        """The least and the greatest number of edges that leave the set."""
        return (2, 2) if self.closed else (4, None)


Decision = EdgeDecision | SetDecision


@dataclass(frozen=True)
class Node:
    """All tours that agree with the decisions; `bound` holds for them, in the core's unit."""

    bound: int
    decisions: tuple[Decision, ...] = ()

    def child(self, bound: int, decision: Decision) -> Node:
        return Node(max(self.bound, bound), (*self.decisions, decision))

"""The open nodes: best first, bounds that tell the truth, and an end for everybody."""

from __future__ import annotations

import threading

from optimized_tsp.solvers.tsp.branching.frontier import Frontier
from optimized_tsp.solvers.tsp.branching.node import EdgeDecision, Node

ROOT = Node(10)


def child(bound: int, edge: int) -> Node:
    return ROOT.child(bound, EdgeDecision(edge, used=True))


def frontier(limit: int = 100) -> Frontier:
    return Frontier(lambda: False, lambda bound: bound >= limit)


def test_the_lowest_bound_comes_first() -> None:
    nodes = frontier()
    nodes.add([child(30, 1), child(20, 2), child(25, 3)])

    taken = [nodes.take(worker) for worker in range(3)]

    assert [node.bound for node in taken if node is not None] == [20, 25, 30]


def test_bounds_of_nodes_at_work_count() -> None:
    nodes = frontier()
    nodes.add([child(20, 1), child(40, 2)])

    nodes.take(0)
    assert nodes.bound() == 20
    nodes.finish(0, [child(35, 3)])

    assert nodes.bound() == 35


def test_a_child_never_has_a_lower_bound_than_its_parent() -> None:
    assert child(5, 1).bound == 10


def test_what_cannot_be_resolved_keeps_its_bound() -> None:
    nodes = frontier()
    nodes.add([ROOT])

    nodes.take(0)
    nodes.give_up(0)

    assert nodes.take(0) is None
    assert nodes.bound() == 10
    assert nodes.unresolved == 1


def test_useless_nodes_are_not_taken() -> None:
    nodes = frontier(limit=30)
    nodes.add([child(30, 1), child(31, 2)])

    assert nodes.take(0) is None
    assert nodes.bound() is None


def test_waiting_ends_with_the_last_node() -> None:
    nodes = frontier()
    nodes.add([ROOT])
    assert nodes.take(0) is ROOT
    waiting: list[Node | None] = []
    other = threading.Thread(target=lambda: waiting.append(nodes.take(1)))
    other.start()

    nodes.finish(0, [])
    other.join(timeout=10)

    assert waiting == [None]

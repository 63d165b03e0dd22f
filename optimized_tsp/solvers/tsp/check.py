"""Does a tour solve its instance, at exactly the cost it says? Independent of every algorithm."""

from __future__ import annotations

from itertools import pairwise

from optimized_tsp.solvers.contract import InvalidSolution
from optimized_tsp.solvers.tsp.check_tsplib import Step, TsplibReading
from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.schemas import TspInstance, TspSolution

__all__ = ["check_tour", "cost_of_order"]


def check_tour(instance: TspInstance, solution: TspSolution) -> None:
    """Raise `InvalidSolution` unless the tour visits every node once, along edges, at its cost."""
    cost = cost_of_order(instance, solution.node_order)
    if cost != solution.cost:
        raise InvalidSolution(f"The tour costs {cost}, not {solution.cost}.")


def cost_of_order(instance: TspInstance, order: list[int]) -> int:
    """The exact cost of a tour; raise `InvalidSolution` where this order is none."""
    reading = instance.tsplib_reading if instance.tsplib is not None else None
    _check_order(order, instance.node_count if reading is None else reading.num_nodes)
    _check_ends(instance, order)
    steps = list(pairwise(order))
    if instance.round_trip and len(order) > 1:
        steps.append((order[-1], order[0]))
    if reading is None:
        cost = _sum_of_edges(instance, steps)
    else:
        cost = _sum({step: reading.cost(step) for step in steps}, steps)
        _check_fixed_edges(reading, steps)
    return cost


def _check_order(order: list[int], num_nodes: int) -> None:
    if len(order) != num_nodes:
        raise InvalidSolution(f"The tour has {len(order)} nodes, the instance {num_nodes}.")
    seen = [False] * num_nodes
    for node in order:
        if not 0 <= node < num_nodes:
            raise InvalidSolution(f"There is no node {node}.")
        if seen[node]:
            raise InvalidSolution(f"The tour visits node {node} twice.")
        seen[node] = True


def _check_ends(instance: TspInstance, order: list[int]) -> None:
    """A round trip begins at its start, without one at node 0; an open path only where it must."""
    first, last = instance.first_node, instance.end
    if first is not None and order[0] != first:
        raise InvalidSolution(f"The tour starts at node {order[0]}, not at node {first}.")
    if last is not None and order[-1] != last:
        raise InvalidSolution(f"The tour ends at node {order[-1]}, not at node {last}.")


def _sum_of_edges(instance: TspInstance, steps: list[Step]) -> int:
    if instance.coordinates is not None and instance.metric is not None:
        distance, points = distance_rule(instance.metric), instance.coordinates
        return sum(distance(points[i], points[j], instance.scale) for i, j in steps)
    if instance.matrix is not None:
        return _sum({(i, j): instance.matrix[i][j] for i, j in steps}, steps)
    return _sum(_cheapest(instance, steps), steps)


def _sum(costs: dict[Step, int | None], steps: list[Step]) -> int:
    total = 0
    for step in steps:
        cost = costs[step]
        if cost is None:
            raise InvalidSolution(f"There is no edge from node {step[0]} to node {step[1]}.")
        total += cost
    return total


def _check_fixed_edges(reading: TsplibReading, steps: list[Step]) -> None:
    taken = set(steps)
    for source, target in reading.fixed_edges:
        backwards = not reading.directed and (target, source) in taken
        if (source, target) not in taken and not backwards:
            raise InvalidSolution(f"The fixed edge from node {source} to {target} is missing.")


def _cheapest(instance: TspInstance, steps: list[Step]) -> dict[Step, int | None]:
    """The cheapest of the given edges for every step of the tour."""
    cheapest: dict[Step, int | None] = dict.fromkeys(steps)
    for edge in instance.edges or ():
        step = (edge.source, edge.target)
        if step in cheapest:
            known = cheapest[step]
            cheapest[step] = edge.cost if known is None else min(known, edge.cost)
    return cheapest

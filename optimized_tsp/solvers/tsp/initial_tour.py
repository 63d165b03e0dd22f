"""A tour that somebody hands over to start from: looked at before it is believed."""

from __future__ import annotations

from optimized_tsp.solvers.contract import InvalidParameters, InvalidSolution, Problem
from optimized_tsp.solvers.tsp.check import cost_of_order
from optimized_tsp.solvers.tsp.schemas import TspInstance

__all__ = ["check_initial_tour"]

_POINTER = "/initial_tour"


def check_initial_tour(instance: TspInstance, nodes: list[int]) -> list[int]:
    """The tour as the instance wants it; raises `InvalidParameters` where it is none of it.

    A round trip may be given from any node on, an open path goes from its start to its end.
    """
    problem = _wrong_nodes(nodes, instance.node_count)
    if problem is not None:
        raise InvalidParameters([problem])
    place = nodes.index(instance.first_node or 0) if instance.round_trip else 0
    order = nodes[place:] + nodes[:place]
    try:
        cost_of_order(instance, order)
    except InvalidSolution as error:
        problem = Problem(_POINTER, "no_tour_of_the_instance", str(error))
        raise InvalidParameters([problem]) from None
    return order


def _wrong_nodes(nodes: list[int], num_nodes: int) -> Problem | None:
    """What keeps the nodes from being every node once."""
    places: dict[int, int] = {}
    for place, node in enumerate(nodes):
        pointer = f"{_POINTER}/{place}"
        if node >= num_nodes:
            message = f"There is no node {node}; the instance has the nodes 0 to {num_nodes - 1}."
            return Problem(pointer, "no_such_node", message)
        if node in places:
            message = f"Node {node} is visited twice, first at place {places[node]}."
            return Problem(pointer, "repeated_node", message)
        places[node] = place
    if len(nodes) != num_nodes:
        missing = next(node for node in range(num_nodes) if node not in places)
        message = f"The tour has {len(nodes)} of {num_nodes} nodes; node {missing} is missing."
        return Problem(_POINTER, "wrong_count", message)
    return None

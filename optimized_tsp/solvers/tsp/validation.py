"""Rules of an instance that concern several fields: ranges, self loops, shapes, exact costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optimized_tsp.solvers.contract import InvalidInstance, Problem
from optimized_tsp.solvers.tsp.metrics import EARTH_RADIUS_M, GEO_RADIUS_KM
from optimized_tsp.solvers.tsp.schemas import COST_LIMIT, Metric, TspInstance

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MAX_PROBLEMS", "largest_distance", "validate_instance"]

MAX_PROBLEMS = 100
"""No more problems than this are listed for one instance."""


def validate_instance(instance: TspInstance) -> None:
    """Raise `InvalidInstance` with at most `MAX_PROBLEMS` problems, in reading order.

    Linear in the size of the instance: about 0.15 s for a million edges or matrix entries.
    """
    if instance.edges is not None:
        problems = _edge_problems(instance)
    elif instance.matrix is not None:
        problems = _matrix_problems(instance.matrix)
    elif instance.tsplib is not None:
        problems = _tsplib_problems(instance)
    else:
        problems = _coordinate_problems(instance)
    found = [problem for problem, _ in zip(problems, range(MAX_PROBLEMS), strict=False)]
    if not found:  # only then it is known which nodes there are
        found = [*_ends_problems(instance), *_names_problems(instance)]
    if found:
        raise InvalidInstance(found)


def _ends_problems(instance: TspInstance) -> Iterator[Problem]:
    """What contradicts itself or the nodes in `start`, `end` and `round_trip`."""
    num_nodes = instance.node_count
    start, end = instance.start, instance.end
    for pointer, node in (("/start", start), ("/end", end)):
        if node is not None and node >= num_nodes:
            nodes = f"nodes are 0 to {num_nodes - 1}" if num_nodes > 1 else "the only node is 0"
            message = f"Node {node} does not exist: {nodes} (also where a file counts from 1)."
            yield Problem(pointer, "node_out_of_range", message)
    if end is not None and instance.round_trip:
        message = "A round trip ends where it began; leave end out, or add round_trip: false for"
        yield Problem("/end", "end_of_round_trip", f"{message} an open path that ends there.")
    elif end is not None and end == start and num_nodes > 1:
        message = f"An open path through {num_nodes} nodes cannot end where it starts; leave end"
        message += " and round_trip out for a round trip, or choose another end."
        yield Problem("/end", "start_is_end", message)


def _names_problems(instance: TspInstance) -> Iterator[Problem]:
    if instance.names is not None and len(instance.names) != instance.node_count:
        message = f"There are {len(instance.names)} names for {instance.node_count} nodes; give one"
        yield Problem("/names", "wrong_count", f"{message} each, null for a node without.")


def _edge_problems(instance: TspInstance) -> Iterator[Problem]:
    import numpy as np

    from optimized_tsp.solvers.tsp.arcs import edge_columns

    num_nodes = instance.node_count
    source, target, cost = edge_columns(instance.edges or [])
    for end, nodes in (("source", source), ("target", target)):
        for i in np.flatnonzero(nodes >= num_nodes):
            yield Problem(
                f"/edges/{i}/{end}",
                "node_out_of_range",
                f"Node {nodes[i]} does not exist: nodes are 0 to {num_nodes - 1}.",
            )
    for i in np.flatnonzero(source == target):
        message = f"An edge from node {source[i]} to itself cannot be part of a tour; leave it out."
        yield Problem(f"/edges/{i}", "self_loop", message)
    for i in np.flatnonzero(cost >= _first_inexact_cost(num_nodes)):
        yield _inexact(f"/edges/{i}/cost", int(cost[i]), num_nodes)


def _matrix_problems(matrix: list[list[int | None]]) -> Iterator[Problem]:
    import numpy as np

    from optimized_tsp.solvers.tsp.arcs import NO_EDGE, matrix_row

    num_nodes = len(matrix)
    square = True
    for i, row in enumerate(matrix):
        if len(row) != num_nodes:
            square = False
            message = f"The matrix has {num_nodes} rows, so every row needs {num_nodes} entries, "
            yield Problem(f"/matrix/{i}", "not_square", message + f"not {len(row)}.")
    if not square:
        return
    for i, row in enumerate(matrix):
        costs = matrix_row(row)
        costs[i] = NO_EDGE  # whatever the diagonal says
        wrong = (costs < 0) | ((costs >= _first_inexact_cost(num_nodes)) & (costs != NO_EDGE))
        for j in np.flatnonzero(wrong):
            pointer = f"/matrix/{i}/{j}"
            if costs[j] < 0:
                message = f"A cost is at least 0, not {costs[j]}; null means that there is no edge."
                yield Problem(pointer, "negative_cost", message)
            else:
                yield _inexact(pointer, int(costs[j]), num_nodes)


def _coordinate_problems(instance: TspInstance) -> Iterator[Problem]:
    import numpy as np

    points = np.array(instance.coordinates, dtype=np.float64)
    if instance.metric in {"HAVERSINE", "GEO"}:
        names, limits = ("longitude", "latitude"), (180.0, 90.0)
        if instance.metric == "GEO":
            names, limits = names[::-1], limits[::-1]
        outside = False
        for i, axis in np.argwhere(np.abs(points) > np.array(limits)):
            outside = True
            yield Problem(
                f"/coordinates/{i}/{axis}",
                "coordinate_out_of_range",
                f"A {names[axis]} is between -{limits[axis]:g} and {limits[axis]:g},"
                f" not {points[i, axis]:g}; a point is [{names[0]}, {names[1]}].",
            )
        if outside:
            return
    num_nodes = len(points)
    largest = largest_distance(instance.metric, points, instance.scale)
    if num_nodes * largest >= COST_LIMIT:
        yield Problem(
            "/coordinates",
            "inexact_cost",
            f"Distances reach {largest:.6g}; times {num_nodes} nodes that must stay below 2^53"
            " to be exact. Choose a smaller scale.",
        )


def _tsplib_problems(instance: TspInstance) -> Iterator[Problem]:
    """The first thing that is wrong in the text of a file; its parser knows the other rules."""
    from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT
    from optimized_tsp.solvers.tsp.tsplib_text import TsplibError

    try:
        problem = instance.tsplib_problem
    except TsplibError as error:
        yield Problem("/tsplib", error.code, str(error))
        return
    if problem.fixed_edges and problem.num_nodes > DENSE_LIMIT:
        yield Problem(
            "/tsplib",
            "too_many_nodes_for_fixed_edges",
            f"line {problem.fixed_edges_line}: FIXED_EDGES_SECTION is honoured with up to"
            f" {DENSE_LIMIT} nodes, not with {problem.num_nodes}.",
        )


def largest_distance(metric: Metric | None, points: NDArray[np.float64], scale: float) -> float:
    """An upper bound of all distances; exact for MAN_2D and MAX_2D. May be infinite."""
    if len(points) == 1:
        return 0.0
    real = scale * _largest_length(metric, points)
    if metric in {"CEIL_2D", "ATT", "GEO"} or not math.isfinite(real):
        return real + 1.0
    return math.floor(real + 0.5)


def _largest_length(metric: str | None, points: NDArray[np.float64]) -> float:
    """Diameter of the points' bounding box, by the metric, before scaling and rounding."""
    import numpy as np

    if metric == "HAVERSINE":
        return math.pi * EARTH_RADIUS_M
    if metric == "GEO":
        return math.pi * GEO_RADIUS_KM
    with np.errstate(over="ignore"):
        width, height = np.ptp(points, axis=0).tolist()
        if metric == "MAN_2D":
            # The farthest pair is farthest along one of the two diagonals.
            x, y = points.T
            return max(float(np.ptp(x + y)), float(np.ptp(x - y)))
    if metric == "MAX_2D":
        return float(max(width, height))
    return math.sqrt((width * width + height * height) / (10.0 if metric == "ATT" else 1.0))


def _first_inexact_cost(num_nodes: int) -> int:
    """The smallest cost with num_nodes * cost >= 2^53."""
    return -(-COST_LIMIT // num_nodes)


def _inexact(pointer: str, cost: int, num_nodes: int) -> Problem:
    largest = _first_inexact_cost(num_nodes) - 1
    message = f"With {num_nodes} nodes a cost is exact up to {largest}, not {cost}."
    return Problem(pointer, "inexact_cost", message + " Divide all costs by a common number.")

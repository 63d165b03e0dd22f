"""What can be said of an instance before it is solved."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations

from optimized_tsp.solvers.contract import Diagnosis, InfeasibilityCertificate, Notice
from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.schemas import TspInstance

__all__ = ["diagnose_instance", "find_notices"]

_PAIRS = 2_000
_ZERO_SHARE = 0.1
_POLAR_CIRCLE = 66.5


def find_notices(instance: TspInstance) -> list[Notice]:
    """Coordinates that are legal but probably not meant; looks at up to 2,000 pairs of points."""
    if instance.coordinates is None or instance.metric is None:
        return []
    return [*_many_zeros(instance), *_swapped_degrees(instance)]


def diagnose_instance(instance: TspInstance) -> Diagnosis:
    """A proof that there is no tour, where the quick tests find one."""
    from optimized_tsp.solvers.tsp.graph import PointGraph, build_graph
    from optimized_tsp.solvers.tsp.infeasibility import find_certificate
    from optimized_tsp.solvers.tsp.opened_tours import OpenedTours
    from optimized_tsp.solvers.tsp.reduction import fixed_edges_of, reduce_instance

    graph = build_graph(instance)
    if graph.complete and not fixed_edges_of(instance)[0]:
        return Diagnosis()  # every node can be reached from every other
    reduction = reduce_instance(instance, graph)
    if isinstance(reduction, InfeasibilityCertificate):
        return Diagnosis(reduction)
    if isinstance(reduction, OpenedTours):
        return Diagnosis()
    smaller = reduction.graph
    if isinstance(smaller, PointGraph) or smaller.complete:
        return Diagnosis()
    found = find_certificate(smaller.num_nodes, *smaller.arcs())
    return Diagnosis(reduction.certificate(found))


def _many_zeros(instance: TspInstance) -> Iterator[Notice]:
    points = instance.coordinates or []
    distance = distance_rule(instance.metric or "EUC_2D")
    zeros = seen = 0
    for a, b in _pairs(points):
        if a != b:
            seen += 1
            zeros += distance(a, b, instance.scale) == 0
    if seen and zeros > _ZERO_SHARE * seen:
        yield Notice(
            "many_zero_distances",
            f"About {zeros / seen:.0%} of the distances between distinct points are rounded to 0; "
            "set scale (for instance 1000) to keep more of their digits.",
        )


def _pairs(points: list[list[float]]) -> Iterator[tuple[list[float], list[float]]]:
    if len(points) * (len(points) - 1) // 2 <= _PAIRS:
        yield from combinations(points, 2)
        return
    chosen = random.Random(0)  # noqa: S311 - the same pairs every time
    for _ in range(_PAIRS):
        i, j = chosen.sample(range(len(points)), 2)
        yield points[i], points[j]


def _swapped_degrees(instance: TspInstance) -> Iterator[Notice]:
    if instance.metric != "HAVERSINE":
        return
    points = instance.coordinates or []
    polar = [point for point in points if abs(point[1]) > _POLAR_CIRCLE]
    if 2 * len(polar) > len(points) and all(abs(point[0]) <= _POLAR_CIRCLE for point in polar):
        yield Notice(
            "swapped_degrees",
            "Most points lie beyond a polar circle and would not if their numbers were swapped; "
            "coordinates are [longitude, latitude].",
        )

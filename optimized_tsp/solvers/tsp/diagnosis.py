"""What can be said of an instance before it is solved."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TypeAlias, cast

from optimized_tsp.solvers.contract import Diagnosis, InfeasibilityCertificate, Notice
from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.schemas import Metric, TspInstance
from optimized_tsp.solvers.tsp.spatial_metrics import SPATIAL_METRICS, spatial_distance

__all__ = ["diagnose_instance", "find_notices"]

Point: TypeAlias = list[float]
Rule: TypeAlias = Callable[[Point, Point], int]

_PAIRS = 2_000
_ZERO_SHARE = 0.1
_POLAR_CIRCLE = 66.5


def find_notices(instance: TspInstance) -> list[Notice]:
    """Coordinates that are legal but probably not meant; looks at up to 2,000 pairs of points."""
    if instance.tsplib is not None:
        return list(_many_zeros_of_file(instance))
    if instance.coordinates is None or instance.metric is None:
        return []
    distance = distance_rule(instance.metric)
    zeros = _many_zeros(
        instance.coordinates,
        lambda a, b: distance(a, b, instance.scale),
        "set scale (for instance 1000) to keep more of their digits.",
    )
    return [*zeros, *_swapped_degrees(instance)]


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


def _many_zeros_of_file(instance: TspInstance) -> Iterator[Notice]:
    """The points of a file, whose weight type alone says how distances are rounded."""
    problem = instance.tsplib_problem
    if problem.points is None or problem.metric is None:
        return iter(())
    kind, points = problem.metric, problem.points.tolist()
    advice = "multiply the coordinates of the file (for instance by 1000) to keep more digits."
    if kind in SPATIAL_METRICS:
        return _many_zeros(points, lambda a, b: spatial_distance(kind, a, b), advice)
    distance = distance_rule(cast("Metric", kind))
    return _many_zeros(points, lambda a, b: distance(a, b, 1.0), advice)


def _many_zeros(points: list[Point], distance: Rule, advice: str) -> Iterator[Notice]:
    zeros = seen = 0
    for a, b in _pairs(points):
        if a != b:
            seen += 1
            zeros += distance(a, b) == 0
    if seen and zeros > _ZERO_SHARE * seen:
        share = f"About {zeros / seen:.0%} of the distances between distinct points are rounded to"
        yield Notice("many_zero_distances", f"{share} 0; {advice}")


def _pairs(points: list[Point]) -> Iterator[tuple[Point, Point]]:
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

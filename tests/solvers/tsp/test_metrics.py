"""Distances: by hand, by the literature, and vectorised ones against the definition."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.schemas import Metric

METRICS: tuple[Metric, ...] = get_args(Metric)


@pytest.mark.parametrize(
    ("metric", "a", "b", "scale", "distance"),
    [
        ("EUC_2D", (0, 0), (3, 4), 1.0, 5),
        ("EUC_2D", (0, 0), (1, 1), 1.0, 1),  # 1.41
        ("EUC_2D", (0, 0), (0, 2.5), 1.0, 3),  # halves go up, always
        ("EUC_2D", (0, 0), (0, 1.5), 1.0, 2),
        ("EUC_2D", (0, 0), (1, 1), 1000.0, 1414),
        ("CEIL_2D", (0, 0), (1, 1), 1.0, 2),
        ("CEIL_2D", (0, 0), (3, 4), 1.0, 5),
        ("MAN_2D", (0, 0), (1.2, -1.2), 1.0, 2),
        ("MAX_2D", (0, 0), (1.2, -2.6), 1.0, 3),
        ("ATT", (0, 0), (10, 0), 1.0, 4),  # 3.16 is rounded down to 3, which is too little
        ("ATT", (0, 0), (12, 0), 1.0, 4),  # 3.79
        ("ATT", (0, 0), (1, 3), 1.0, 1),  # exactly 1
        ("GEO", (0, 0), (0, 0), 1.0, 1),  # TSPLIB adds 1 and truncates
        ("GEO", (0, 0), (0, 1), 1.0, 112),  # one degree of the equator: 111.3
        ("GEO", (0, 0), (0, 0.30), 1.0, 56),  # 30 minutes, not 0.3 degrees
        ("GEO", (16.47, 96.10), (16.47, 94.44), 1.0, 153),  # burma14, nodes 1 and 2
        ("HAVERSINE", (0, 0), (1, 0), 1.0, 111195),
        ("HAVERSINE", (0, 90), (0, -90), 1.0, 20015114),  # half of a meridian
        ("HAVERSINE", (179.5, 0), (-179.5, 0), 1.0, 111195),  # over the date line
        ("HAVERSINE", (13.41053, 52.52437), (2.3488, 48.85341), 0.001, 878),  # Berlin, Paris: km
    ],
)
def test_distances_by_hand(
    metric: Metric, a: tuple[float, float], b: tuple[float, float], scale: float, distance: int
) -> None:
    assert distance_rule(metric)(a, b, scale) == distance
    assert distance_rule(metric)(b, a, scale) == distance


def canonical_length(metric: Metric, points: list[tuple[float, float]]) -> int:
    """Length of the tour through the nodes as they come: TSPLIB's check of an implementation."""
    distance = distance_rule(metric)
    return sum(distance(a, b, 1.0) for a, b in zip(points, points[1:] + points[:1], strict=True))


def test_burma14_as_it_comes() -> None:
    burma14 = [
        (16.47, 96.10), (16.47, 94.44), (20.09, 92.54), (22.39, 93.37), (25.23, 97.24),
        (22.00, 96.05), (20.47, 97.02), (17.20, 96.29), (16.30, 97.38), (14.05, 98.12),
        (16.53, 97.38), (21.52, 95.59), (19.41, 97.13), (20.09, 94.55),
    ]  # fmt: skip
    assert canonical_length("GEO", burma14) == 4562


@settings(max_examples=150, deadline=None)
@given(
    metric=st.sampled_from(METRICS),
    scale=st.sampled_from([1.0, 0.37, 1e-3, 1000.0, 1e6]),
    points=st.lists(
        st.tuples(st.floats(-89.0, 89.0, width=32), st.floats(-89.0, 89.0, width=32)),
        min_size=2,
        max_size=8,
    ),
)
def test_vectorised_distances_equal_the_definition(
    metric: Metric, scale: float, points: list[tuple[float, float]]
) -> None:
    # Also the same place twice, and antipodes, where inverse sines and cosines are at their worst.
    points = [
        *points,
        points[0],
        (points[0][0] - 180.0 if points[0][0] > 0 else points[0][0] + 180.0, -points[0][1]),
    ]
    rule = distance_rule(metric)
    matrix = Distances(np.array(points), metric, scale).matrix()
    for i, a in enumerate(points):
        for j, b in enumerate(points):
            assert matrix[i, j] == (0 if i == j else rule(a, b, scale))


@pytest.mark.parametrize("metric", METRICS)
def test_a_large_matrix_is_filled_block_by_block(metric: Metric) -> None:
    points = np.random.default_rng(4).uniform(-80, 80, (2_000, 2))
    distances = Distances(points, metric, 1.0)
    matrix = distances.matrix()
    some = np.random.default_rng(5).integers(0, 2_000, (500, 2))
    rule = distance_rule(metric)
    for i, j in some[some[:, 0] != some[:, 1]].tolist():
        assert matrix[i, j] == rule(points[i].tolist(), points[j].tolist(), 1.0)

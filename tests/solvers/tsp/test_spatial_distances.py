"""Distances in three dimensions: the definition by hand, the fast ones by the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optimized_tsp.solvers.tsp.spatial_distances import SpatialDistances
from optimized_tsp.solvers.tsp.spatial_metrics import (
    SPATIAL_METRICS,
    SpatialMetric,
    spatial_distance,
)
from optimized_tsp.solvers.tsp.tsplib import parse_tsplib
from tests.solvers.tsp.tsplib_texts import located

ORIGIN = (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("metric", "point", "distance"),
    [
        ("EUC_3D", (2, 3, 6), 7),
        ("EUC_3D", (1, 1, 1), 2),  # 1.73
        ("EUC_3D", (0, 0, 1.5), 2),
        ("MAN_3D", (-1, 2, -3.4), 6),
        ("MAX_3D", (-1, 2, -3.4), 3),
        ("XRAY1", (10, 20, -30), 3000),
        ("XRAY1", (350, 0, 0), 1000),  # phi turns the other way
        ("XRAY1", (0, 350, 0), 35000),  # chi does not
        ("XRAY1", (0.005, 0, 0), 1),
        ("XRAY2", (10, 0, 0), 800),
        ("XRAY2", (0, 15, 0), 1000),
        ("XRAY2", (0, 0, 23), 2000),
        ("XRAY2", (-355, 3, 1), 400),
    ],
)
def test_the_definitions(
    metric: SpatialMetric, point: tuple[float, float, float], distance: int
) -> None:
    assert spatial_distance(metric, ORIGIN, point) == distance
    assert spatial_distance(metric, point, ORIGIN) == distance


@settings(deadline=None)
@given(
    st.sampled_from(SPATIAL_METRICS),
    arrays(np.float64, (6, 3), elements=st.floats(-1e6, 1e6) | st.integers(-400, 400).map(float)),
)
def test_many_at_once_equal_the_definition(
    metric: SpatialMetric, points: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> None:
    distances = SpatialDistances(points, metric)
    rows = points.tolist()
    expected = [[spatial_distance(metric, a, b) for b in rows] for a in rows]
    assert distances.matrix().tolist() == expected
    assert distances.between(np.arange(6), np.roll(np.arange(6), -1)).tolist() == [
        expected[i][(i + 1) % 6] for i in range(6)
    ]
    assert distances.largest() >= max(map(max, expected))


@pytest.mark.parametrize("metric", SPATIAL_METRICS)
def test_files_with_three_coordinates(metric: SpatialMetric) -> None:
    points = [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)]
    for more in ((), ("NODE_COORD_TYPE: THREED_COORDS",)):
        problem = parse_tsplib(located(points, metric, *more))
        assert problem.metric == metric
        assert problem.points is not None
        assert [tuple(point) for point in problem.points.tolist()] == points

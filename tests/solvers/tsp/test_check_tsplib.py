"""The check reads problem files in its own way and comes to the same costs as the parser."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.tsp.check_tsplib import Step, TsplibReading
from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.spatial_metrics import SPATIAL_METRICS, spatial_distance
from optimized_tsp.solvers.tsp.tsplib import parse_tsplib
from tests.solvers.tsp.tsplib_texts import WORD_ORDER, explicit, lines, located


def costs_of(text: str, steps: list[Step]) -> list[int | None]:
    reading = TsplibReading(text)
    return [reading.cost(step) for step in steps]


def all_steps(num_nodes: int) -> list[Step]:
    return [(i, j) for i in range(num_nodes) for j in range(num_nodes) if i != j]


@settings(deadline=None)
@given(st.sampled_from(sorted(WORD_ORDER)), st.integers(1, 7), st.randoms())
def test_explicit_weights(weight_format: str, num_nodes: int, rng: random.Random) -> None:
    drawn = [[rng.randint(0, 99) for _ in range(num_nodes)] for _ in range(num_nodes)]
    symmetric = (np.triu(drawn, 1) + np.triu(drawn, 1).T).tolist()
    text = explicit(symmetric, weight_format)
    problem = parse_tsplib(text)
    assert problem.matrix is not None
    steps = all_steps(num_nodes)
    assert costs_of(text, steps) == [problem.matrix[step] for step in steps]
    assert TsplibReading(text).num_nodes == num_nodes


def test_directions_matter() -> None:
    text = explicit([[0, 1, 2], [3, 0, 4], [5, 6, 0]], kind="ATSP")
    assert costs_of(text, all_steps(3)) == [1, 2, 3, 4, 5, 6]


def test_notations_of_numbers() -> None:
    text = explicit([[0, 4], [4, 0]], "UPPER_ROW").replace("\n4\n", "\n0.4e1\n")
    assert costs_of(text, [(0, 1)]) == [4]


@pytest.mark.parametrize("metric", ["EUC_2D", "CEIL_2D", "MAN_2D", "MAX_2D", "ATT", "GEO"])
def test_two_coordinates(metric: str) -> None:
    points = [(16.47, 96.1), (16.47, 94.44), (20.09, 92.54), (-2.5, 1e1)]
    distance = distance_rule(metric)  # type: ignore[arg-type]
    text = located(points, metric).replace("NODE", "FIXED_EDGES_SECTION\n1 2 3 4\n-1\nNODE")
    costs = [distance(points[i], points[j], 1.0) for i, j in all_steps(4)]
    assert costs_of(text, all_steps(4)) == costs
    assert costs_of(text.replace("\n", "\r\n").lower(), all_steps(4)) == costs
    assert TsplibReading(text).fixed_edges == parse_tsplib(text).fixed_edges == [(0, 1), (2, 3)]
    assert not TsplibReading(text).directed


@pytest.mark.parametrize("metric", SPATIAL_METRICS)
def test_three_coordinates(metric: str) -> None:
    points = [(1.5, 2.0, 3.0), (4.0, 355.0, 6.0), (-7.0, 8.0, 9.0)]
    costs = [spatial_distance(metric, points[i], points[j]) for i, j in all_steps(3)]  # type: ignore[arg-type]
    assert costs_of(located(points, metric), all_steps(3)) == costs


@pytest.mark.parametrize(
    ("edge_format", "data"),
    [("EDGE_LIST", "1 2\n2 3\n-1"), ("ADJ_LIST", "1 2 -1\n2 3 -1\n-1")],
)
def test_a_graph(edge_format: str, data: str) -> None:
    text = lines(
        "TYPE: HCP", "DIMENSION: 3", f"EDGE_DATA_FORMAT: {edge_format}", "EDGE_DATA_SECTION", data
    )
    assert costs_of(text, all_steps(3)) == [0, None, 0, 0, None, 0]


def test_nothing_after_the_end_counts() -> None:
    text = explicit([[0, 4], [4, 0]], "UPPER_ROW") + "EDGE_WEIGHT_SECTION\n7\nDIMENSION: 9\n"
    assert (costs_of(text, [(1, 0)]), TsplibReading(text).num_nodes) == ([4], 2)

"""The check reads problem files in its own way and comes to the same costs as the parser."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimized_tsp.solvers.tsp.check_tsplib import (
    fixed_edges_of_text,
    num_nodes_of_text,
    step_costs_of_text,
)
from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.spatial_metrics import SPATIAL_METRICS, spatial_distance
from optimized_tsp.solvers.tsp.tsplib import parse_tsplib
from tests.solvers.tsp.tsplib_texts import WORD_ORDER, explicit, lines, located

Step = tuple[int, int]


def all_steps(num_nodes: int) -> list[Step]:
    return [(i, j) for i in range(num_nodes) for j in range(num_nodes) if i != j]


@given(st.sampled_from(sorted(WORD_ORDER)), st.integers(1, 7), st.randoms())
def test_explicit_weights(weight_format: str, num_nodes: int, rng: random.Random) -> None:
    drawn = [[rng.randint(0, 99) for _ in range(num_nodes)] for _ in range(num_nodes)]
    symmetric = (np.triu(drawn, 1) + np.triu(drawn, 1).T).tolist()
    text = explicit(symmetric, weight_format)
    problem = parse_tsplib(text)
    assert problem.matrix is not None
    steps = all_steps(num_nodes)
    assert step_costs_of_text(text, steps) == [problem.matrix[step] for step in steps]
    assert num_nodes_of_text(text) == num_nodes


def test_directions_matter() -> None:
    text = explicit([[0, 1, 2], [3, 0, 4], [5, 6, 0]], kind="ATSP")
    assert step_costs_of_text(text, all_steps(3)) == [1, 2, 3, 4, 5, 6]


def test_notations_of_numbers() -> None:
    text = explicit([[0, 4], [4, 0]], "UPPER_ROW").replace("\n4\n", "\n0.4e1\n")
    assert step_costs_of_text(text, [(0, 1)]) == [4]


@pytest.mark.parametrize("metric", ["EUC_2D", "CEIL_2D", "MAN_2D", "MAX_2D", "ATT", "GEO"])
def test_two_coordinates(metric: str) -> None:
    points = [(16.47, 96.1), (16.47, 94.44), (20.09, 92.54), (-2.5, 1e1)]
    distance = distance_rule(metric)  # type: ignore[arg-type]
    text = located(points, metric).replace("NODE", "FIXED_EDGES_SECTION\n1 2 3 4\n-1\nNODE")
    costs = [distance(points[i], points[j], 1.0) for i, j in all_steps(4)]
    assert step_costs_of_text(text, all_steps(4)) == costs
    assert step_costs_of_text(text.replace("\n", "\r\n").lower(), all_steps(4)) == costs
    assert fixed_edges_of_text(text) == ([(0, 1), (2, 3)], False)
    assert fixed_edges_of_text(text)[0] == parse_tsplib(text).fixed_edges


@pytest.mark.parametrize("metric", SPATIAL_METRICS)
def test_three_coordinates(metric: str) -> None:
    points = [(1.5, 2.0, 3.0), (4.0, 355.0, 6.0), (-7.0, 8.0, 9.0)]
    costs = [spatial_distance(metric, points[i], points[j]) for i, j in all_steps(3)]  # type: ignore[arg-type]
    assert step_costs_of_text(located(points, metric), all_steps(3)) == costs


@pytest.mark.parametrize(
    ("edge_format", "data"),
    [("EDGE_LIST", "1 2\n2 3\n-1"), ("ADJ_LIST", "1 2 -1\n2 3 -1\n-1")],
)
def test_a_graph(edge_format: str, data: str) -> None:
    text = lines(
        "TYPE: HCP", "DIMENSION: 3", f"EDGE_DATA_FORMAT: {edge_format}", "EDGE_DATA_SECTION", data
    )
    assert step_costs_of_text(text, all_steps(3)) == [0, None, 0, 0, None, 0]


def test_nothing_after_the_end_counts() -> None:
    text = explicit([[0, 4], [4, 0]], "UPPER_ROW") + "EDGE_WEIGHT_SECTION\n7\nDIMENSION: 9\n"
    assert (step_costs_of_text(text, [(1, 0)]), num_nodes_of_text(text)) == ([4], 2)

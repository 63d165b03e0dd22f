"""Whatever the text: a problem that says what the text says, or one `TsplibError`."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.tsp.arcs import NO_EDGE
from optimized_tsp.solvers.tsp.check_tsplib import TsplibReading
from optimized_tsp.solvers.tsp.graph import build_graph
from optimized_tsp.solvers.tsp.schemas import COST_LIMIT, TspInstance
from optimized_tsp.solvers.tsp.tsplib import TsplibError, TsplibProblem, parse_tsplib
from optimized_tsp.solvers.tsp.tsplib_tour import read_tour, write_tour
from tests.solvers.tsp.tsplib_texts import WORD_ORDER, explicit, lines, located

GRAPH = lines(
    "TYPE: HCP", "DIMENSION: 3", "EDGE_DATA_FORMAT: ADJ_LIST", "EDGE_DATA_SECTION", "1 2 3 -1"
)
FIXED = "FIXED_EDGES_SECTION\n1 2\n-1\n"
SEEDS = [
    located([(0, 0), (3, 0), (0, 4)], "EUC_2D"),
    located([(1.5, 2e1, 3), (4, 5, 6)], "XRAY1", "NODE_COORD_TYPE: THREED_COORDS"),
    located([(16.47, 96.1), (16.47, 94.44)], "GEO", "EDGE_WEIGHT_FORMAT: FUNCTION", FIXED),
    explicit([[0, 1, 2], [3, 0, 4], [5, 6, 0]], kind="ATSP"),
    *(explicit([[0, 1, 2], [1, 0, 3], [2, 3, 0]], name) for name in WORD_ORDER),
    GRAPH,
]
SPLICES = [
    *("-1", "0", "1", "3", "1e5", "1e999", "-", ".", "nan", "inf", "1_0", "٣", "\x00", "\n", " "),
    *("\r", "\t", "EOF\n", "EOF", ":", "TYPE: TSP\n", "DIMENSION: 3\n", "\x1c", "\u2028", "e", "9"),
    *("NODE_COORD_SECTION\n", "EDGE_WEIGHT_SECTION\n", "DISPLAY_DATA_SECTION\n", FIXED, "TOUR"),
]


def read(text: str) -> TsplibProblem | None:
    """The problem, if it is one; fails on any other error and on a line that is not there."""
    refusal = None
    try:
        problem = parse_tsplib(text, max_nodes=50)
    except TsplibError as error:
        refusal = error
    if refusal is None:
        check_invariants(problem)
        check_second_reading(problem, text)
        return problem
    last = 1 + text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    assert 1 <= refusal.line <= last
    assert refusal.message
    return None


def check_invariants(problem: TsplibProblem) -> None:
    n = problem.num_nodes
    given_forms = [problem.points, problem.matrix, problem.arcs]
    assert sum(form is not None for form in given_forms) == 1
    assert 1 <= n <= 50
    if problem.points is not None:
        assert problem.points.shape[0] == n
        assert np.isfinite(problem.points).all()
    if problem.matrix is not None:
        assert problem.matrix.shape == (n, n)
        assert problem.matrix.min() >= 0
        assert int(problem.matrix.max()) * n < COST_LIMIT
    assert all(a != b and min(a, b) >= 0 and max(a, b) < n for a, b in problem.fixed_edges)


def check_second_reading(problem: TsplibProblem, text: str) -> None:
    """The parser and the check's own reader understand the same."""
    reading = TsplibReading(text)
    assert reading.num_nodes == problem.num_nodes
    assert reading.fixed_edges == problem.fixed_edges
    assert reading.directed == problem.directed
    nodes = range(problem.num_nodes)
    graph = build_graph(TspInstance(tsplib=text))
    for a, b in product(nodes, nodes):
        if a != b:
            cost = int(graph.between(np.array([a]), np.array([b]))[0])
            assert reading.cost((a, b)) == (None if cost == NO_EDGE else cost)


@settings(deadline=None)
@given(st.text())
def test_any_text(text: str) -> None:
    read(text)
    read("TYPE: TSP\nDIMENSION: 2\nEDGE_WEIGHT_TYPE: EUC_2D\nNODE_COORD_SECTION\n" + text)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_damage(text: str, rng: random.Random, cuts: int) -> None:
    for _ in range(cuts):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice([0, 0, 1, 1, 2, 5, 40]))
        text = text[:start] + rng.choice(["", "", *SPLICES]) + text[end:]
    read(text)


@settings(deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_a_word_of_data_lost_or_doubled_is_noticed(text: str, data: st.DataObject) -> None:
    head, heading, rest = text.rpartition("_SECTION\n")
    rows = rest.replace("EOF\n", "").split("\n")
    words = [(i, j) for i, row in enumerate(rows) for j in range(len(row.split()))]
    i, j = data.draw(st.sampled_from(words))
    row = rows[i].split()
    row[j : j + 1] = data.draw(st.sampled_from([[], [row[j]] * 2]))
    damaged = head + heading + "\n".join([*rows[:i], " ".join(row), *rows[i + 1 :]])
    before, after = read(text), read(damaged)
    assert before is not None
    if after is not None:  # only a list without a fixed length can tell something else
        assert before.arcs is not None


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2), min_size=1, max_size=20), st.randoms())
def test_points_survive_in_any_order_of_lines(
    points: list[tuple[float, float]], rng: random.Random
) -> None:
    head, heading, rest = located(points, "EUC_2D").partition("NODE_COORD_SECTION\n")
    rows = rest.replace("EOF\n", "").splitlines()
    rng.shuffle(rows)
    problem = parse_tsplib(head + heading + "\n".join(rows))
    assert problem.points is not None
    assert [tuple(point) for point in problem.points.tolist()] == points


@settings(deadline=None)
@given(st.text(), st.integers(0, 2**53), st.permutations(range(6)))
def test_tours_survive(name: str, cost: int, order: list[int]) -> None:
    assert read_tour(write_tour(name, cost, order)) == order


@settings(deadline=None)
@given(st.text(alphabet="-1 23\nTOURSECN_:EOFDIMPY"))
def test_any_tour_text(text: str) -> None:
    for tried in (text, "TYPE: TOUR\nDIMENSION: 3\nTOUR_SECTION\n" + text):
        with suppress(TsplibError):
            order = read_tour(tried, max_nodes=9)
            assert sorted(order) == list(range(len(order)))

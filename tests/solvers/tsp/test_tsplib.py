"""TSPLIB problem files mean what TSPLIB 95 says, however they are written."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.tsplib import (
    TsplibError,
    TsplibProblem,
    decode_tsplib,
    parse_tsplib,
)
from tests.solvers.tsp.tsplib_texts import WORD_ORDER, explicit, lines, located

SYMMETRIC = [[0, 1, 2, 3], [1, 0, 4, 5], [2, 4, 0, 6], [3, 5, 6, 0]]
TRIANGLE = lines(
    "NAME : triangle",
    "COMMENT : three points",
    "TYPE : TSP",
    "DIMENSION : 3",
    "EDGE_WEIGHT_TYPE : EUC_2D",
    "NODE_COORD_SECTION",
    "1 0 0",
    "2 3 0",
    "3 0 4",
    "EOF",
)


def points_of(problem: TsplibProblem) -> list[list[float]]:
    assert problem.points is not None
    points: list[list[float]] = problem.points.tolist()
    return points


def matrix_of(problem: TsplibProblem) -> list[list[int]]:
    assert problem.matrix is not None
    matrix: list[list[int]] = problem.matrix.tolist()
    return matrix


def test_a_file_with_coordinates() -> None:
    problem = parse_tsplib(TRIANGLE)
    assert (problem.name, problem.type, problem.num_nodes) == ("triangle", "TSP", 3)
    assert problem.metric == "EUC_2D"
    assert points_of(problem) == [[0, 0], [3, 0], [0, 4]]
    assert problem.matrix is None
    assert problem.arcs is None
    assert problem.fixed_edges == []


@pytest.mark.parametrize("weight_format", WORD_ORDER)
def test_every_format_of_explicit_weights(weight_format: str) -> None:
    problem = parse_tsplib(explicit(SYMMETRIC, weight_format))
    assert matrix_of(problem) == SYMMETRIC
    assert problem.matrix is not None
    assert problem.matrix.dtype == np.int64


@settings(deadline=None)
@given(st.data())
def test_any_symmetric_matrix_survives_any_format(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 7))
    weight = st.integers(0, 2**50)
    matrix = [[0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i):
            matrix[i][j] = matrix[j][i] = data.draw(weight)
    weight_format = data.draw(st.sampled_from(sorted(WORD_ORDER)))
    assert matrix_of(parse_tsplib(explicit(matrix, weight_format))) == matrix


def test_asymmetric_weights_keep_their_directions() -> None:
    matrix = [[0, 1, 2], [3, 0, 4], [5, 6, 0]]
    assert matrix_of(parse_tsplib(explicit(matrix, kind="ATSP"))) == matrix


@pytest.mark.parametrize("diagonal", [-1, 9999, 10**40])
def test_the_diagonal_means_nothing(diagonal: int) -> None:
    matrix = [[diagonal, 1], [1, diagonal]]
    assert matrix_of(parse_tsplib(explicit(matrix))) == [[0, 1], [1, 0]]


def test_weights_may_break_lines_anywhere() -> None:
    text = explicit(SYMMETRIC, "UPPER_ROW").replace("1\n2\n3\n4\n5\n6\n", " 1 2\n\n3 4 5\t6 \n")
    assert matrix_of(parse_tsplib(text)) == SYMMETRIC


@pytest.mark.parametrize("written", ["+4", "4.", "4.0", "4e0", "0.4E+1", "400e-2", "04"])
def test_whole_weights_in_any_notation(written: str) -> None:
    text = explicit([[0, 4], [4, 0]], "UPPER_ROW").replace("\n4\n", f"\n{written}\n")
    assert matrix_of(parse_tsplib(text)) == [[0, 4], [4, 0]]


@pytest.mark.parametrize("written", ["3", "3.0", "+3", "3e0", ".3E1", "3.", "30e-1"])
def test_coordinates_in_any_notation(written: str) -> None:
    assert points_of(parse_tsplib(TRIANGLE.replace("2 3 0", f"2 {written} 0")))[1] == [3, 0]


def test_nodes_may_come_in_any_order() -> None:
    text = TRIANGLE.replace("1 0 0\n2 3 0\n3 0 4", "3 0 4\n1 0 0\n2 3 0")
    assert points_of(parse_tsplib(text)) == [[0, 0], [3, 0], [0, 4]]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("no space before the colon", TRIANGLE.replace(" :", ":")),
        ("no space at all", TRIANGLE.replace(" : ", ":")),
        ("no colon", TRIANGLE.replace(" : ", " ")),
        ("tabs", TRIANGLE.replace(" ", "\t")),
        ("CRLF", TRIANGLE.replace("\n", "\r\n")),
        ("CR", TRIANGLE.replace("\n", "\r")),
        ("blank lines", TRIANGLE.replace("\n", "\n  \n")),
        ("indentation", TRIANGLE.replace("\n", "\n   ")),
        ("trailing spaces", TRIANGLE.replace("\n", "   \n")),
        ("lower case", TRIANGLE.lower()),
        ("no EOF", TRIANGLE.replace("EOF\n", "")),
        ("no line break at the end", TRIANGLE.replace("EOF\n", "").rstrip()),
        ("something after EOF", TRIANGLE + "what follows is no data\n1 2 3\n"),
        ("a colon behind the section", TRIANGLE.replace("SECTION", "SECTION :")),
        ("a byte order mark", "\ufeff" + TRIANGLE),
        ("a Ctrl-Z at the end", TRIANGLE.replace("EOF\n", "\x1a")),
        ("a second comment", "COMMENT : first\n" + TRIANGLE),
        ("a longer type", TRIANGLE.replace("TYPE : TSP", "TYPE : TSP (M.~Hofmeister)")),
        ("its coordinate type", "NODE_COORD_TYPE : TWOD_COORDS\n" + TRIANGLE),
        ("its weight format", "EDGE_WEIGHT_FORMAT : FUNCTION\n" + TRIANGLE),
        ("display data", TRIANGLE.replace("EOF", "DISPLAY_DATA_SECTION\n1 7 7\nEOF")),
        ("a display type", "DISPLAY_DATA_TYPE : COORD_DISPLAY\n" + TRIANGLE),
    ],
)
def test_one_problem_written_differently(what: str, text: str) -> None:
    problem = parse_tsplib(text)
    assert problem.name.lower() == "triangle", what
    assert points_of(problem) == [[0, 0], [3, 0], [0, 4]], what


def test_sections_and_entries_in_any_order() -> None:
    text = lines(
        "FIXED_EDGES_SECTION",
        "1 3",
        "-1",
        "NODE_COORD_SECTION",
        "1 0 0",
        "2 3 0",
        "3 0 4",
        "EDGE_WEIGHT_TYPE: EUC_2D",
        "DIMENSION: 3",
        "TYPE: TSP",
    )
    problem = parse_tsplib(text)
    assert points_of(problem) == [[0, 0], [3, 0], [0, 4]]
    assert problem.fixed_edges == [(0, 2)]
    assert problem.name == ""


def test_the_coordinates_of_explicit_weights_are_for_display() -> None:
    text = explicit(SYMMETRIC).replace("EOF", "NODE_COORD_SECTION\n1 0 0 0\nEOF")
    assert matrix_of(parse_tsplib(text)) == SYMMETRIC


@pytest.mark.parametrize("ending", ["-1", "", "-1\nEOF"])
def test_fixed_edges_are_kept(ending: str) -> None:
    fixed = f"FIXED_EDGES_SECTION\n1 2\n3 1\n{ending}\n"
    problem = parse_tsplib(TRIANGLE.replace("EOF\n", fixed))
    assert problem.fixed_edges == [(0, 1), (2, 0)]


@pytest.mark.parametrize(
    ("weight_type", "points", "distance"),
    [
        ("EUC_2D", [(0, 0), (1, 1)], 1),
        ("EUC_2D", [(0, 0), (1.5, 0)], 2),
        ("CEIL_2D", [(0, 0), (1, 1)], 2),
        ("CEIL_2D", [(0, 0), (3, 4)], 5),
        ("MAN_2D", [(0, 0), (-1.2, 2)], 3),
        ("MAX_2D", [(0, 0), (-1.2, 2)], 2),
        ("ATT", [(0, 0), (10, 0)], 4),  # 3.16 rounds to 3, which is less: one more
        ("ATT", [(0, 0), (12, 0)], 4),  # 3.79 rounds to 4
        ("GEO", [(38.24, 20.42), (39.57, 26.15)], 509),  # the first edge of ulysses16
    ],
)
def test_every_function_of_two_coordinates(
    weight_type: str, points: list[tuple[float, float]], distance: int
) -> None:
    problem = parse_tsplib(located(points, weight_type))
    a, b = points_of(problem)
    assert distance_rule(weight_type)(a, b, 1.0) == distance  # type: ignore[arg-type]
    assert problem.metric == weight_type


@pytest.mark.parametrize("edge_format", ["EDGE_LIST", "ADJ_LIST"])
def test_a_hamiltonian_cycle_problem(edge_format: str) -> None:
    data = {"EDGE_LIST": "1 2\n2 3\n3 1\n2 1\n-1", "ADJ_LIST": "1 2 3 -1\n2 3 1 -1\n-1"}
    text = lines(
        "TYPE : HCP",
        "DIMENSION : 4",
        f"EDGE_DATA_FORMAT : {edge_format}",
        "EDGE_DATA_SECTION",
        data[edge_format],
        "EOF",
    )
    problem = parse_tsplib(text)
    assert problem.arcs is not None
    arcs = list(zip(*(ends.tolist() for ends in problem.arcs), strict=True))
    assert arcs == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


@pytest.mark.parametrize("weight_format", WORD_ORDER)
def test_one_and_two_nodes(weight_format: str) -> None:
    assert matrix_of(parse_tsplib(explicit([[5]], weight_format))) == [[0]]
    assert matrix_of(parse_tsplib(explicit([[0, 7], [7, 0]], weight_format))) == [[0, 7], [7, 0]]


def test_large_matrices_are_read_in_pieces() -> None:
    random = np.random.default_rng(2)
    matrix = random.integers(0, 10**6, (500, 500))
    np.fill_diagonal(matrix, 0)
    rows = [" ".join(map(str, row)) for row in matrix.tolist()]
    head = explicit([[0]], kind="ATSP").replace("DIMENSION: 1", "DIMENSION: 500").split("0\nEOF")[0]
    for text in (head + "\n".join(rows), head + " ".join(rows) + " \n" * 10**6):
        assert len(text) > 1_500_000
        assert matrix_of(parse_tsplib(text)) == matrix.tolist()
    with pytest.raises(TsplibError) as caught:
        parse_tsplib(head + "\n".join([*rows[:-1], "0x" + rows[-1]]))
    assert (caught.value.line, caught.value.code) == (506, "not_a_number")


def test_old_files_have_umlauts_in_latin_1() -> None:
    content = TRIANGLE.replace("three points", "Städte").encode("latin-1")
    assert parse_tsplib(decode_tsplib(content)).num_nodes == 3
    assert decode_tsplib("Städte".encode()) == "Städte"


def test_large_files_are_read_fast() -> None:
    # The best of three: the machine may be busy. The limit is generous; quiet it takes 50 ms.
    random = np.random.default_rng(1)
    points = located(random.integers(0, 10**6, (18_000, 2)).tolist(), "EUC_2D")
    matrix = explicit(random.integers(0, 10**4, (443, 443)).tolist(), kind="ATSP")
    for text in (points, matrix):
        taken = []
        for _ in range(3):
            started = time.process_time()
            parse_tsplib(text)
            taken.append(time.process_time() - started)
        assert min(taken) < 0.2

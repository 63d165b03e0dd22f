"""What is wrong in a problem file is said with its line, and never read as something else."""

from __future__ import annotations

import pytest

from optimized_tsp.solvers.tsp.tsplib import TsplibError, parse_tsplib
from tests.solvers.tsp.tsplib_texts import WORD_ORDER, explicit, lines, located

GOOD = lines(
    "NAME: square",  # 1
    "TYPE: TSP",  # 2
    "DIMENSION: 4",  # 3
    "EDGE_WEIGHT_TYPE: EUC_2D",  # 4
    "NODE_COORD_SECTION",  # 5
    "1 0 0",  # 6
    "2 0 1",  # 7
    "3 1 1",  # 8
    "4 1 0",  # 9
    "EOF",  # 10
)
MATRIX = lines(
    "TYPE: TSP",  # 1
    "DIMENSION: 3",  # 2
    "EDGE_WEIGHT_TYPE: EXPLICIT",  # 3
    "EDGE_WEIGHT_FORMAT: FULL_MATRIX",  # 4
    "EDGE_WEIGHT_SECTION",  # 5
    "0 1 2",  # 6
    "1 0 3",  # 7
    "2 3 0",  # 8
)
GRAPH = lines(
    "TYPE: HCP",  # 1
    "DIMENSION: 3",  # 2
    "EDGE_DATA_FORMAT: EDGE_LIST",  # 3
    "EDGE_DATA_SECTION",  # 4
    "1 2",  # 5
    "-1",  # 6
)


def change(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


CASES: list[tuple[str, str, int, str]] = [
    # what, text, line, code
    ("nothing", "", 1, "missing_keyword"),
    ("blank lines", "\n\n\n", 1, "missing_keyword"),
    ("something else", "a,b\n1,2\n", 1, "unknown_keyword"),
    ("numbers first", "1 2 3\n" + GOOD, 1, "keyword_expected"),
    ("numbers after the entries", change(GOOD, "NODE_COORD_SECTION\n", ""), 5, "keyword_expected"),
    ("an unknown keyword", change(GOOD, "NAME", "TITLE"), 1, "unknown_keyword"),
    ("an unknown section", change(GOOD, "NODE_COORD", "NODE"), 5, "unknown_keyword"),
    ("no type", change(GOOD, "TYPE: TSP\n", ""), 9, "missing_keyword"),
    ("an empty type", change(GOOD, "TYPE: TSP", "TYPE:"), 2, "missing_value"),
    ("a tour", change(GOOD, "TYPE: TSP", "TYPE: TOUR"), 2, "unsupported_type"),
    ("an ordering problem", change(GOOD, "TYPE: TSP", "TYPE: SOP"), 2, "unsupported_type"),
    ("vehicle routing", change(GOOD, "TYPE: TSP", "TYPE: CVRP"), 2, "unsupported_type"),
    ("an unknown type", change(GOOD, "TYPE: TSP", "TYPE: PDP"), 2, "unsupported_type"),
    ("a capacity", change(GOOD, "NAME: square", "CAPACITY: 3"), 1, "foreign_keyword"),
    ("depots", change(GOOD, "EOF", "DEPOT_SECTION\n1\n-1"), 10, "foreign_keyword"),
    ("a tour in it", change(GOOD, "EOF", "TOUR_SECTION\n1\n-1"), 10, "foreign_keyword"),
    ("a sparse graph", change(GOOD, "EOF", "EDGE_DATA_SECTION\n1 2\n-1"), 10, "foreign_keyword"),
    ("two dimensions", change(GOOD, "NAME: square", "DIMENSION: 4"), 3, "repeated_keyword"),
    ("two sections", change(GOOD, "EOF", "NODE_COORD_SECTION\n1 0 0"), 10, "repeated_section"),
    ("no dimension", change(GOOD, "DIMENSION: 4\n", ""), 9, "missing_keyword"),
    ("dimension 0", change(GOOD, "DIMENSION: 4", "DIMENSION: 0"), 3, "wrong_dimension"),
    ("dimension -4", change(GOOD, "DIMENSION: 4", "DIMENSION: -4"), 3, "wrong_dimension"),
    ("dimension 4.0", change(GOOD, "DIMENSION: 4", "DIMENSION: 4.0"), 3, "wrong_dimension"),
    ("dimension four", change(GOOD, "DIMENSION: 4", "DIMENSION: four"), 3, "wrong_dimension"),
    (
        "dimension in foreign digits",
        change(GOOD, "DIMENSION: 4", "DIMENSION: \u0664"),
        3,
        "wrong_dimension",
    ),
    (
        "a huge dimension",
        change(GOOD, "DIMENSION: 4", "DIMENSION: 1" + 5000 * "0"),
        3,
        "too_many_nodes",
    ),
    ("no weight type", change(GOOD, "EDGE_WEIGHT_TYPE: EUC_2D\n", ""), 9, "missing_keyword"),
    ("special weights", change(GOOD, "EUC_2D", "SPECIAL"), 4, "unsupported_weight_type"),
    ("unknown weights", change(GOOD, "EUC_2D", "EUC_4D"), 4, "unsupported_weight_type"),
    (
        "no coordinates",
        change(MATRIX, "EXPLICIT", "GEO").replace("FULL_MATRIX", "FUNCTION"),
        5,
        "contradiction",
    ),
    ("coordinates and weights", change(GOOD, "EOF", "EDGE_WEIGHT_SECTION\n1"), 10, "contradiction"),
    (
        "coordinates as a matrix",
        change(GOOD, "NAME: square", "EDGE_WEIGHT_FORMAT: FULL_MATRIX"),
        1,
        "contradiction",
    ),
    (
        "three coordinates said",
        change(GOOD, "NAME: square", "NODE_COORD_TYPE: THREED_COORDS"),
        1,
        "contradiction",
    ),
    ("three dimensions asked for", change(GOOD, "EUC_2D", "EUC_3D"), 6, "wrong_count"),
    ("data beside the heading", change(GOOD, "SECTION\n1", "SECTION 1"), 5, "data_beside_heading"),
    ("a line too few", change(GOOD, "4 1 0\n", ""), 8, "wrong_count"),
    ("a line too many", change(GOOD, "EOF", "5 2 2"), 10, "wrong_count"),
    ("a coordinate too few", change(GOOD, "3 1 1", "3 1"), 8, "wrong_count"),
    ("a coordinate too many", change(GOOD, "3 1 1", "3 1 1 0"), 8, "wrong_count"),
    ("words shifted between lines", change(GOOD, "0 1\n3 1 1", "0\n1 3 1 1"), 7, "wrong_count"),
    ("a word for a coordinate", change(GOOD, "3 1 1", "3 1 one"), 8, "not_a_number"),
    ("a word for a node", change(GOOD, "3 1 1", "three 1 1"), 8, "not_a_number"),
    ("NaN", change(GOOD, "3 1 1", "3 1 nan"), 8, "not_a_number"),
    ("infinity", change(GOOD, "3 1 1", "3 1 Infinity"), 8, "not_a_number"),
    ("a number too large", change(GOOD, "3 1 1", "3 1 1e400"), 8, "number_too_large"),
    ("an underscore", change(GOOD, "3 1 1", "3 1 1_0"), 8, "not_a_number"),
    ("foreign digits", change(GOOD, "3 1 1", "3 1 \u0661"), 8, "not_a_number"),
    ("a decimal comma", change(GOOD, "3 1 1", "3 1 1,5"), 8, "not_a_number"),
    ("a hexadecimal number", change(GOOD, "3 1 1", "3 1 0x1"), 8, "not_a_number"),
    ("node 0", change(GOOD, "1 0 0", "0 0 0"), 6, "no_such_node"),
    ("node 5", change(GOOD, "4 1 0", "5 1 0"), 9, "no_such_node"),
    ("node 2.5", change(GOOD, "2 0 1", "2.5 0 1"), 7, "no_such_node"),
    ("a node twice", change(GOOD, "4 1 0", "2 1 0"), 9, "repeated_node"),
    ("distances beyond 2^53", change(GOOD, "3 1 1", "3 1 1e16"), 5, "inexact_cost"),
    ("distances beyond floats", change(GOOD, "3 1 1", "3 1 1e308"), 5, "inexact_cost"),
    (
        "a latitude of 91",
        change(GOOD, "EUC_2D", "GEO").replace("3 1 1", "3 91 1"),
        8,
        "coordinate_out_of_range",
    ),
    (
        "a longitude of 181",
        change(GOOD, "EUC_2D", "GEO").replace("3 1 1", "3 1 -181"),
        8,
        "coordinate_out_of_range",
    ),
    ("no format", change(MATRIX, "EDGE_WEIGHT_FORMAT: FULL_MATRIX\n", ""), 7, "missing_keyword"),
    (
        "an unknown format",
        change(MATRIX, "FULL_MATRIX", "HALF_MATRIX"),
        4,
        "unsupported_weight_format",
    ),
    (
        "explicit by function",
        change(MATRIX, "FULL_MATRIX", "FUNCTION"),
        4,
        "unsupported_weight_format",
    ),
    ("no weights", MATRIX[: MATRIX.index("EDGE_WEIGHT_SECTION")], 4, "missing_section"),
    ("a weight too few", change(MATRIX, "2 3 0", "2 3"), 8, "wrong_count"),
    ("a weight too many", change(MATRIX, "2 3 0", "2 3 0\n1"), 9, "wrong_count"),
    ("a word for a weight", change(MATRIX, "1 0 3", "1 0 three"), 7, "not_a_number"),
    ("a line of words for weights", change(MATRIX, "1 0 3", "inf inf inf"), 7, "not_a_number"),
    ("a hidden underscore", change(MATRIX, "2 3 0", "2 3 0_0"), 8, "not_a_number"),
    ("a fraction", change(MATRIX, "2 3 0", "2 3.5 0"), 8, "fractional_weight"),
    (
        "nearly a whole number",
        change(MATRIX, "2 3 0", f"2 3.{29 * '0'}1 0"),
        8,
        "fractional_weight",
    ),
    ("a tiny number", change(MATRIX, "2 3 0", "2 1e-999999999999 0"), 8, "fractional_weight"),
    ("a negative weight", change(MATRIX, "1 0 3", "1 0 -3"), 7, "negative_weight"),
    ("a weight of 2^53 / 3", change(MATRIX, "1 0 3", f"1 0 {2**53 // 3 + 1}"), 7, "inexact_cost"),
    ("a weight of 2^64", change(MATRIX, "1 0 3", f"1 0 {2**64}"), 7, "inexact_cost"),
    ("a weight of 1e400", change(MATRIX, "1 0 3", "1 0 1e400"), 7, "inexact_cost"),
    ("a weight of 5000 digits", change(MATRIX, "1 0 3", "1 0 " + 5000 * "7"), 7, "inexact_cost"),
    ("a minus weight of 1e400", change(MATRIX, "1 0 3", "1 0 -1e400"), 7, "negative_weight"),
    ("two ways, two weights", change(MATRIX, "2 3 0", "2 4 0"), 8, "asymmetric_weights"),
    (
        "a fixed edge to nowhere",
        change(GOOD, "EOF", "FIXED_EDGES_SECTION\n1 5\n-1"),
        11,
        "no_such_node",
    ),
    (
        "a fixed edge from 0",
        change(GOOD, "EOF", "FIXED_EDGES_SECTION\n0 1\n-1"),
        11,
        "no_such_node",
    ),
    (
        "a fixed edge of one node",
        change(GOOD, "EOF", "FIXED_EDGES_SECTION\n1\n-1"),
        11,
        "incomplete_pair",
    ),
    ("a fixed loop", change(GOOD, "EOF", "FIXED_EDGES_SECTION\n1 2\n2 2\n-1"), 12, "self_loop"),
    (
        "a fixed edge after the end",
        change(GOOD, "EOF", "FIXED_EDGES_SECTION\n1 2\n-1\n2 3"),
        13,
        "data_after_end",
    ),
    ("a fixed word", change(GOOD, "EOF", "FIXED_EDGES_SECTION\n1 two\n-1"), 11, "not_a_number"),
    (
        "no format of a graph",
        change(GRAPH, "EDGE_DATA_FORMAT: EDGE_LIST\n", ""),
        5,
        "missing_keyword",
    ),
    (
        "an unknown format of a graph",
        change(GRAPH, "EDGE_LIST", "LIST"),
        3,
        "unsupported_edge_format",
    ),
    ("no edges of a graph", GRAPH[: GRAPH.index("EDGE_DATA_SECTION")], 3, "missing_section"),
    ("a loop of a graph", change(GRAPH, "1 2", "2 2"), 5, "self_loop"),
    (
        "an early end of a graph",
        change(GRAPH, "EDGE_LIST", "ADJ_LIST") + "-1\n1 2\n-1\n",
        9,
        "data_after_end",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_broken_file(text: str, line: int, code: str) -> None:
    with pytest.raises(TsplibError) as caught:
        parse_tsplib(text)
    assert (caught.value.line, caught.value.code) == (line, code), str(caught.value)
    assert str(caught.value) == f"line {line}: {caught.value.message}"
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 300
    assert caught.value.message.isascii()


def test_the_good_ones_are_good() -> None:
    assert [parse_tsplib(text).num_nodes for text in (GOOD, MATRIX, GRAPH)] == [4, 3, 3]


def test_lines_are_counted_as_editors_do() -> None:
    for newline in ("\n", "\r\n", "\r"):
        with pytest.raises(TsplibError) as caught:
            parse_tsplib(change(GOOD, "3 1 1", "3 1 one\x0b").replace("\n", newline))
        assert caught.value.line == 8


@pytest.mark.parametrize("weight_format", sorted(WORD_ORDER))
def test_a_wrong_weight_is_found_in_every_format(weight_format: str) -> None:
    matrix = [[0, 1, 2], [1, 0, -3], [2, -3, 0]]
    text = explicit(matrix, weight_format)
    with pytest.raises(TsplibError) as caught:
        parse_tsplib(text)
    assert caught.value.code == "negative_weight"
    assert text.split("\n")[caught.value.line - 1] == "-3"


def test_the_limit_of_nodes_is_the_callers() -> None:
    text = located([(0, 0)] * 11, "EUC_2D")
    assert parse_tsplib(text, max_nodes=11).num_nodes == 11
    with pytest.raises(TsplibError, match="line 3: DIMENSION is at most 10 here, not '11'"):
        parse_tsplib(text, max_nodes=10)

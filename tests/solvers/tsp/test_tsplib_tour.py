"""Tour files, written and read."""

from __future__ import annotations

import pytest

from optimized_tsp.solvers.tsp.tsplib_text import TsplibError
from optimized_tsp.solvers.tsp.tsplib_tour import read_tour, write_tour

TOUR = "NAME : pair\nTYPE : TOUR\nDIMENSION : 2\nTOUR_SECTION\n2\n1\n-1\nEOF\n"


def test_a_tour_file() -> None:
    assert write_tour("triangle", 12, [0, 2, 1]) == (
        "NAME : triangle\nCOMMENT : Length = 12\nTYPE : TOUR\nDIMENSION : 3\n"
        "TOUR_SECTION\n1\n3\n2\n-1\nEOF\n"
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [("", "tour"), (" \n", "tour"), ("two\nlines\x00", "two lines"), ("Zürich", "Zürich")],
)
def test_names_stay_on_their_line(name: str, written: str) -> None:
    assert write_tour(name, 0, [0]).split("\n")[0] == f"NAME : {written}"


@pytest.mark.parametrize(
    "text",
    [
        TOUR,
        TOUR.replace("-1\n", "-1\n-1\n"),
        TOUR.replace("-1\nEOF\n", ""),
        TOUR.replace("2\n1\n-1", "2 1 -1"),
        TOUR.replace("\n", "\r\n"),
    ],
)
def test_reading(text: str) -> None:
    assert read_tour(text) == [1, 0]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("", 1, "missing_keyword"),
        (TOUR.replace("TYPE : TOUR", "TYPE : TSP"), 2, "unsupported_type"),
        (TOUR.replace("DIMENSION : 2\n", ""), 7, "missing_keyword"),
        (TOUR.replace("TOUR_SECTION\n2\n1\n-1\n", ""), 4, "missing_section"),
        (TOUR.replace("2\n1\n-1", "2\n3\n-1"), 6, "no_such_node"),
        (TOUR.replace("2\n1\n-1", "2\n0\n-1"), 6, "no_such_node"),
        (TOUR.replace("2\n1\n-1", "2\n2\n-1"), 6, "repeated_node"),
        (TOUR.replace("2\n1\n-1", "2\n-1"), 6, "wrong_count"),
        (TOUR.replace("2\n1\n-1", "-1"), 5, "wrong_count"),
        (TOUR.replace("-1\n", "-1\n1 2\n-1\n-1\n"), 8, "wrong_count"),
        (TOUR.replace("2\n1\n-1", "2\none\n-1"), 6, "not_a_number"),
    ],
)
def test_broken_tours(text: str, line: int, code: str) -> None:
    with pytest.raises(TsplibError) as caught:
        read_tour(text)
    assert (caught.value.line, caught.value.code) == (line, code), str(caught.value)


def test_an_open_path_says_that_it_is_one_and_can_be_read_again() -> None:
    text = write_tour("path", 7, [2, 0, 1], round_trip=False)
    comments = [line for line in text.splitlines() if line.startswith("COMMENT")]
    assert comments[0] == "COMMENT : Length = 7"
    assert "Open path" in comments[1]
    assert read_tour(text) == [2, 0, 1]

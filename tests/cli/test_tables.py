"""Tables at any width, with anything in their cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from optimized_tsp.cli.tables import Column, lay_out, printable

COLUMNS = [
    Column("ID"),
    Column("COST", right=True),
    Column("GAP", right=True, droppable=True),
    Column("NAME", least=4),
]


def test_numbers_stand_to_the_right_and_nothing_trails() -> None:
    rows = [["a", "1,000", "0.1%", "north"], ["b", "7", "", ""]]

    assert lay_out(COLUMNS, rows, None) == [
        "ID   COST   GAP  NAME",
        "a   1,000  0.1%  north",
        "b       7",
    ]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (24, ["ID  COST   GAP  NAME", "a      7  0.1%  northern"]),
        (21, ["ID  COST   GAP  NAME", "a      7  0.1%  nort…"]),
        (18, ["ID  COST  NAME", "a      7  northern"]),
        (14, ["ID  COST  NAME", "a      7  nor…"]),
    ],
)
def test_names_are_cut_first_then_columns_go_but_an_id_stays_whole(
    width: int, lines: list[str]
) -> None:
    assert lay_out(COLUMNS, [["a", "7", "0.1%", "northern"]], width) == lines


def test_a_wide_character_is_not_cut_in_half() -> None:
    line = lay_out([Column("N", least=1)], [["東京大阪"]], 6)[1]

    assert line == "東京…"


def test_what_may_be_cut_is_cut_even_where_that_is_not_enough() -> None:
    line = lay_out([Column("A"), Column("B", least=1)], [["x" * 30, "00"]], 30)[1]

    assert line == "x" * 30 + "  …"


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=30)), min_size=1, max_size=5),
    st.integers(30, 60),
)
def test_no_text_breaks_the_lines_or_the_width(rows: list[tuple[str, str]], width: int) -> None:
    lines = lay_out([Column("A"), Column("B", least=1)], rows, width)

    assert len(lines) == 1 + len(rows)
    longest = max(cell_len(printable(row[0])) for row in rows)
    assert max(map(cell_len, lines)) <= max(width, longest + 3)
    assert "".join(lines).isprintable()

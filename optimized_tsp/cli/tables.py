"""Tables for a terminal of any width and for pipes, whatever is in the cells."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len, set_cell_size

__all__ = ["Column", "age", "lay_out", "moment", "printable", "terminal_width"]

_GAP = "  "
_CUT = "…"
_AGES = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `least` is how narrow it may be cut, None when its cells are only ever whole.

    The `droppable` columns are left out, the last first, where there is no room for all.
    """

    title: str
    right: bool = False
    least: int | None = None
    droppable: bool = False


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None when it is none, and nothing has to fit."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or None


def age(since: str, now: datetime) -> str:
    """How long ago a moment of RFC 3339 was, in its largest unit."""
    seconds = (now - datetime.fromisoformat(since)).total_seconds()
    for size, unit in _AGES:
        if seconds >= size:
            return f"{int(seconds / size)} {unit}"
    return "now"


def moment(text: str | None) -> str | None:
    """A moment of RFC 3339 in UTC, to the second."""
    return None if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"


def printable(text: str) -> str:
    """The text on one line, without what would move the cursor or reorder the line."""
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()


def lay_out(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> list[str]:
    """The lines of a table with a heading, at most `width` wide where that is possible."""
    cells = [[printable(cell) for cell in row] for row in rows]
    shown = list(range(len(columns)))
    widths = [
        max(map(cell_len, [column.title, *(row[index] for row in cells)]))
        for index, column in enumerate(columns)
    ]
    while True:
        fitted, fits = _fitted(columns, widths, shown, width)
        droppable = [index for index in shown if columns[index].droppable]
        if fits or not droppable:
            break
        shown.remove(droppable[-1])
    heading = [column.title for column in columns]
    return [
        _GAP.join(_cell(row[index], fitted[index], columns[index]) for index in shown).rstrip()
        for row in [heading, *cells]
    ]


def _fitted(
    columns: Sequence[Column], widths: list[int], shown: list[int], width: int | None
) -> tuple[list[int], bool]:
    """The widths, with those columns cut that may be, and whether that is enough."""
    fitted = list(widths)
    if width is None:
        return fitted, True
    excess = sum(widths[index] for index in shown) + len(_GAP) * (len(shown) - 1) - width
    for index in shown:
        least = columns[index].least
        if least is not None and excess > 0:
            cut = min(excess, max(0, fitted[index] - least))
            fitted[index] -= cut
            excess -= cut
    return fitted, excess <= 0


def _cell(text: str, width: int, column: Column) -> str:
    length = cell_len(text)
    if length > width:
        return set_cell_size(set_cell_size(text, width - 1).rstrip() + _CUT, width)
    padding = " " * (width - length)
    return padding + text if column.right else text + padding

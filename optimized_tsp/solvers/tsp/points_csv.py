"""Tables of points (RFC 4180, also with semicolons or tabs), and tours as tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optimized_tsp.solvers.contract import InvalidInstance, Problem
from optimized_tsp.solvers.tsp.points import Points, degree_complaint
from optimized_tsp.solvers.tsp.tsplib_text import is_number, not_a_number, shown
from optimized_tsp.solvers.tsp.validation import MAX_PROBLEMS

__all__ = ["read_points_csv", "write_tour_csv"]

_DELIMITERS = (",", ";", "\t")
_ROLES = {
    "x": "x",
    "y": "y",
    "lon": "lon",
    "lng": "lon",
    "longitude": "lon",
    "lat": "lat",
    "latitude": "lat",
    "name": "name",
    "id": "id",
}
_PAIRS = (("x", "y"), ("lon", "lat"))
_RECOGNISED = "x and y, or lon and lat (also lng, longitude, latitude), and name or id"


@dataclass(frozen=True, slots=True)
class _Header:
    delimiter: str
    columns: list[str]
    place: dict[str, int]
    """Role -> index of its column."""
    axes: tuple[str, str]


def read_points_csv(content: bytes | str) -> Points:
    """A point per line below a line that names the columns, in any order.

    Raises `InvalidInstance` with line and column in the messages; at most `MAX_PROBLEMS` problems.
    A point's name is in the column `name`, else in `id`.
    """
    stream = io.StringIO(_decoded(content), newline="")
    header_line, text = _first_line(stream)
    header = _header(text, header_line)
    problems: list[Problem] = []
    coordinates: list[list[float]] = []
    names: list[str | None] = []
    for line, row in _rows(stream, header.delimiter, header_line):
        try:
            coordinates.append(_point(header, line, row))
            names.append(_name(header, row))
        except InvalidInstance as error:
            problems += error.problems
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise InvalidInstance(problems[:MAX_PROBLEMS])
    if not coordinates:
        raise _invalid("no_points", f"line {header_line}: No points follow the column names.")
    return Points(
        coordinates,
        "HAVERSINE" if header.axes == ("lon", "lat") else "EUC_2D",
        names if any(name is not None for name in names) else None,
    )


def write_tour_csv(
    node_order: Sequence[int],
    *,
    coordinates: Sequence[Sequence[float]] | None = None,
    metric: str | None = None,
    names: Sequence[str | None] | None = None,
) -> str:
    """A line per visit: `position,node`, then name and coordinates where they are known.

    Position and node count from 0, as in `node_order`. A round trip's way back to the first line is
    implied; an open path ends with the last one.
    """
    columns = ["position", "node"]
    if names is not None:
        columns.append("name")
    if coordinates:
        axes = ["lon", "lat"] if metric == "HAVERSINE" else ["x", "y", "z"]
        columns += axes[: len(coordinates[0])]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for position, node in enumerate(node_order):
        name = [] if names is None else [names[node] or ""]
        writer.writerow([position, node, *name, *(coordinates[node] if coordinates else ())])
    return text.getvalue()


def _invalid(code: str, message: str) -> InvalidInstance:
    return InvalidInstance([Problem("", code, message)])


def _decoded(content: bytes | str) -> str:
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise _invalid("not_utf8", f"line {line}: The table is not encoded as UTF-8.") from None


def _first_line(stream: io.StringIO) -> tuple[int, str]:
    for line, text in enumerate(stream, 1):
        if text.strip():
            return line, text
    raise _invalid("no_points", f"line 1: The table is empty; its first line names {_RECOGNISED}.")


def _header(text: str, line: int) -> _Header:
    """Column names by the delimiter that makes sense of most of them."""
    readings = [(delimiter, _cells(text, delimiter)) for delimiter in _DELIMITERS]
    delimiter, columns = max(
        readings, key=lambda reading: sum(c.lower() in _ROLES for c in reading[1])
    )
    place: dict[str, int] = {}
    for index, column in enumerate(columns):
        role = _ROLES.get(column.lower())
        if role is None:
            message = f"line {line}: Unknown column {shown(column)}; columns are {_RECOGNISED}."
            raise _invalid("unknown_column", message)
        if role in place:
            message = f"line {line}: The columns {shown(columns[place[role]])} and {shown(column)} "
            raise _invalid("ambiguous_column", message + "say the same.")
        place[role] = index
    return _Header(delimiter, columns, place, _axes(place, line))


def _cells(text: str, delimiter: str) -> list[str]:
    rows = csv.reader([text], delimiter=delimiter, skipinitialspace=True)
    try:
        return [cell.strip() for row in rows for cell in row]
    except csv.Error:  # no names of columns are that long
        return [text.strip()]


def _axes(place: dict[str, int], line: int) -> tuple[str, str]:
    begun = [pair for pair in _PAIRS if any(axis in place for axis in pair)]
    if len(begun) != 1:
        what = "are ambiguous" if begun else "are missing"
        message = f"line {line}: The coordinates {what}: name the columns x and y, or lon and lat."
        raise _invalid("ambiguous_column" if begun else "missing_column", message)
    for axis in begun[0]:
        if axis not in place:
            message = f"line {line}: The column {axis} is missing."
            raise _invalid("missing_column", message)
    return begun[0]


def _rows(stream: io.StringIO, delimiter: str, header_line: int) -> Iterator[tuple[int, list[str]]]:
    """The first line and the cells of every row that is not blank."""
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    line = header_line + 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = header_line + 1 + reader.line_num
    except csv.Error as error:
        raise _invalid("not_csv", f"line {line}: The table is broken here ({error}).") from None


def _point(header: _Header, line: int, row: list[str]) -> list[float]:
    if len(row) != len(header.columns):
        message = f"line {line}: {len(header.columns)} columns are expected, not {len(row)}"
        hint = "; write decimals with a point" if header.delimiter == "," else ""
        raise _invalid("wrong_count", f"{message}{hint}.")
    point = []
    for axis in header.axes:
        index = header.place[axis]
        cell, column = row[index].strip(), header.columns[index]
        if not is_number(cell):
            message = f"line {line}, column {column}: {not_a_number(cell)}."
            raise _invalid("not_a_number", message)
        if not math.isfinite(float(cell)):
            message = f"line {line}, column {column}: {shown(cell)} is too large."
            raise _invalid("number_too_large", message)
        point.append(float(cell))
    if header.axes == ("lon", "lat") and (complaint := degree_complaint(*point)):
        raise _invalid("coordinate_out_of_range", f"line {line}: {complaint}")
    return point


def _name(header: _Header, row: list[str]) -> str | None:
    for role in ("name", "id"):
        if role in header.place and (cell := row[header.place[role]].strip()):
            return cell
    return None

"""The numbers of a TSPLIB file: explicit weights and coordinates.

Fast where everything is as it should be (Python's own number readers on whole sections); what they
refuse, or might read in a way TSPLIB does not mean, is read again word by word with line numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from itertools import chain, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.schemas import COST_LIMIT
from optimized_tsp.solvers.tsp.tsplib_nodes import no_such_node
from optimized_tsp.solvers.tsp.tsplib_text import (
    Section,
    TsplibError,
    is_number,
    not_a_number,
    shown,
)

__all__ = ["WEIGHT_FORMATS", "FloatArray", "read_matrix", "read_points"]

FloatArray = NDArray[np.float64]

# Weights are read row by row; columns of a triangle are the rows of the other one mirrored.
_FILL: Final[dict[str, tuple[str, int]]] = {
    "FULL_MATRIX": ("full", 0),
    "UPPER_ROW": ("upper", 1),
    "LOWER_ROW": ("lower", -1),
    "UPPER_DIAG_ROW": ("upper", 0),
    "LOWER_DIAG_ROW": ("lower", 0),
    "UPPER_COL": ("lower", -1),
    "LOWER_COL": ("upper", 1),
    "UPPER_DIAG_COL": ("lower", 0),
    "LOWER_DIAG_COL": ("upper", 0),
}
WEIGHT_FORMATS = tuple(_FILL)
"""TSPLIB's ways to list explicit weights."""

_GEO_LIMITS = (90.0, 180.0)
_EXACT_DIGITS = 15


def read_matrix(
    section: Section, num_nodes: int, weight_format: str, *, symmetric: bool
) -> IntArray:
    """Explicit weights as a matrix (n, n) of exact integers >= 0 with zeros on the diagonal."""
    # Counted before they are read: a text of the wrong length costs little, whatever is in it.
    _check_count(section, section.count_words(), num_nodes, weight_format)
    values = _whole_numbers(section)
    matrix = _filled(values, num_nodes, weight_format)
    np.fill_diagonal(matrix, 0)  # whatever the file says there
    _check_weights(section, matrix, weight_format)
    if symmetric and weight_format == "FULL_MATRIX" and not np.array_equal(matrix, matrix.T):
        i, j = np.argwhere(matrix != matrix.T)[0].tolist()
        message = (
            f"From node {i + 1} to node {j + 1} the weight is {matrix[i, j]}, the other way"
            f" {matrix[j, i]}: use TYPE: ATSP where they differ."
        )
        line, _ = section.word(j * num_nodes + i)
        raise TsplibError(line, "asymmetric_weights", message)
    return matrix


def read_points(
    section: Section, num_nodes: int, dimensions: int, *, geographical: bool = False
) -> FloatArray:
    """Coordinates by node, shape (n, dimensions); the nodes 1..n may come in any order.

    Geographical ones are latitude and longitude.
    """
    if section.count_rows() > num_nodes:
        line, _ = next(islice(section.rows(), num_nodes, None))
        message = f"DIMENSION says {num_nodes} nodes, but more have coordinates, from this line on."
        raise TsplibError(line, "wrong_count", message)
    lines = list(section.rows())
    for line, words in lines:
        if len(words) != 1 + dimensions:
            message = f"A node number and {dimensions} coordinates are expected here, "
            message += f"not {len(words)} words."
            raise TsplibError(line, "wrong_count", message)
    if len(lines) != num_nodes:
        message = f"DIMENSION says {num_nodes} nodes, but {len(lines)} have coordinates."
        raise TsplibError(section.last_line, "wrong_count", message)
    rows = _numbers(section, lines).reshape(num_nodes, 1 + dimensions)
    nodes = _node_indices(rows[:, 0], lines)
    if geographical:
        _check_ranges(rows[:, 1:], lines)
    points = np.empty((num_nodes, dimensions))
    points[nodes] = rows[:, 1:]
    return points


def _check_count(section: Section, found: int, num_nodes: int, weight_format: str) -> None:
    needed = _count(num_nodes, weight_format)
    if found != needed:
        line, _ = section.word(needed)
        message = f"{weight_format} of {num_nodes} nodes has {needed} weights, not {found}."
        raise TsplibError(line, "wrong_count", message)


def _count(num_nodes: int, weight_format: str) -> int:
    shape, offset = _FILL[weight_format]
    if shape == "full":
        return num_nodes * num_nodes
    return num_nodes * (num_nodes - 1) // 2 + (num_nodes if offset == 0 else 0)


def _filled(values: IntArray, num_nodes: int, weight_format: str) -> IntArray:
    """The whole matrix from the values in the file's order."""
    shape, offset = _FILL[weight_format]
    if shape == "full":
        return values.reshape(num_nodes, num_nodes).copy()
    triangle: Callable[..., NDArray[np.bool_]] = np.triu if shape == "upper" else np.tril
    given = triangle(np.ones((num_nodes, num_nodes), dtype=np.bool_), offset)
    matrix = np.zeros((num_nodes, num_nodes), dtype=np.int64)
    matrix[given] = values
    matrix.T[given] = values
    return matrix


def _check_weights(section: Section, matrix: IntArray, weight_format: str) -> None:
    num_nodes = len(matrix)
    first_inexact = -(-COST_LIMIT // num_nodes)
    wrong = (matrix < 0) | (matrix >= first_inexact)
    if not wrong.any():
        return
    count = _count(num_nodes, weight_format)
    places = _filled(np.arange(count), num_nodes, weight_format)
    line, word = section.word(int(places[wrong].min()))
    if word.startswith("-"):
        raise TsplibError(line, "negative_weight", f"A weight is at least 0, not {shown(word)}.")
    message = f"With {num_nodes} nodes a weight is exact up to {first_inexact - 1}, not "
    message += f"{shown(word)}. Divide all weights by a common number."
    raise TsplibError(line, "inexact_cost", message)


def _whole_numbers(section: Section) -> IntArray:
    """All words as integers; beyond the limit of costs as +-COST_LIMIT."""
    arrays = [np.empty(0, dtype=np.int64)]
    before, plain = 0, section.plain
    for words in section.blocks():
        values = _as_they_are(words) if plain else None
        if values is None:
            _refuse_first_strange(section, before, words)
        if values is None:
            one_by_one = [_whole_number(section, i, word) for i, word in enumerate(words, before)]
            values = np.array(one_by_one, dtype=np.int64)
        arrays.append(values)
        before += len(words)
    return np.concatenate(arrays)


def _refuse_first_strange(section: Section, before: int, words: list[str]) -> None:
    """Raise `TsplibError` at the first word that is no number, if all before it are whole."""
    first = next((i for i, word in enumerate(words) if not is_number(word)), None)
    if first is not None and _as_they_are(words[:first]) is not None:
        _whole_number(section, before + first, words[first])


def _as_they_are(words: list[str]) -> IntArray | None:
    try:
        values = np.fromiter(map(int, words), dtype=np.int64, count=len(words))
    except (ValueError, OverflowError):
        return _from_decimals(words)
    return np.clip(values, -COST_LIMIT, COST_LIMIT)


def _from_decimals(words: list[str]) -> IntArray | None:
    """Words like 12.0 or 1e3; None unless all are whole beyond doubt.

    A decimal of at most 15 digits is the only such one next to its double, so it is whole where
    the double is.
    """
    if max(map(len, words), default=0) > _EXACT_DIGITS:
        return None
    try:
        values = np.fromiter(map(float, words), dtype=np.float64, count=len(words))
    except ValueError:
        return None
    if not (np.abs(values) < COST_LIMIT).all() or (values != np.floor(values)).any():
        return None
    if not all(_is_zero(words[place]) for place in np.flatnonzero(values == 0)):
        return None  # 1e-400 is not 0
    return values.astype(np.int64)


def _is_zero(word: str) -> bool:
    return not word.lower().partition("e")[0].strip("+-.0")


def _whole_number(section: Section, index: int, word: str) -> int:
    if not is_number(word):
        line, _ = section.word(index)
        raise TsplibError(line, "not_a_number", f"{not_a_number(word)}.")
    if abs(float(word)) >= COST_LIMIT:
        return -COST_LIMIT if word.startswith("-") else COST_LIMIT
    if _is_zero(word):
        return 0
    _, _, exponent = word.lower().partition("e")
    if len(exponent.lstrip("+-0")) < 5:  # beyond, only a number of thousands of digits is whole
        exact = Decimal(word)
        if exact == exact.to_integral_value():
            return int(exact)
    message = f"Weights are whole numbers, not {shown(word)}: multiply all of them and round."
    raise TsplibError(section.word(index)[0], "fractional_weight", message)


def _numbers(section: Section, lines: list[tuple[int, list[str]]]) -> FloatArray:
    if section.plain:
        try:
            values = np.array(list(map(float, chain.from_iterable(words for _, words in lines))))
        except ValueError:
            pass
        else:
            if np.isfinite(values).all():
                return values
    for line, words in lines:
        for word in words:
            if not is_number(word):
                raise TsplibError(line, "not_a_number", f"{not_a_number(word)}.")
            if not math.isfinite(float(word)):
                raise TsplibError(line, "number_too_large", f"{shown(word)} is too large.")
    return np.array([float(word) for _, words in lines for word in words])


def _node_indices(numbers: FloatArray, lines: list[tuple[int, list[str]]]) -> IntArray:
    """Node numbers 1..n, each once, as indices from 0."""
    num_nodes = len(lines)
    whole = (numbers >= 1) & (numbers <= num_nodes) & (numbers == np.floor(numbers))
    if not whole.all():
        line, words = lines[int(np.argmin(whole))]
        raise TsplibError(line, "no_such_node", no_such_node(words[0], num_nodes))
    nodes = numbers.astype(np.int64) - 1
    if (np.bincount(nodes, minlength=num_nodes) != 1).any():
        _, first_places = np.unique(nodes, return_index=True)
        again = int(np.setdiff1d(np.arange(num_nodes), first_places)[0])
        earlier = lines[int(np.flatnonzero(nodes == nodes[again])[0])][0]
        message = f"Node {nodes[again] + 1} has coordinates already, on line {earlier}."
        raise TsplibError(lines[again][0], "repeated_node", message)
    return nodes


def _check_ranges(points: FloatArray, lines: list[tuple[int, list[str]]]) -> None:
    for place, axis in np.argwhere(np.abs(points) > _GEO_LIMITS)[:1].tolist():
        line, words = lines[place]
        name, limit = ("latitude", "longitude")[axis], _GEO_LIMITS[axis]
        message = f"A {name} is between -{limit:g} and {limit:g}, not {shown(words[1 + axis])}."
        raise TsplibError(line, "coordinate_out_of_range", message)

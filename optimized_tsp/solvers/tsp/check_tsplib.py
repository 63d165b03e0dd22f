"""The costs of a tour's edges straight from the text of a problem file, for the independent check.

A second reading, on purpose: it shares no code with the parser whose results the solver works on,
builds no matrix, and computes where in the file a weight stands. It trusts that the text has been
accepted as a problem before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TypeAlias, cast

from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.schemas import Metric
from optimized_tsp.solvers.tsp.spatial_metrics import SpatialMetric, spatial_distance

__all__ = ["fixed_edges_of_text", "num_nodes_of_text", "step_costs_of_text"]

Step: TypeAlias = tuple[int, int]


def num_nodes_of_text(text: str) -> int:
    """The DIMENSION."""
    return int(_entry(_body(text), "DIMENSION"))


def fixed_edges_of_text(text: str) -> tuple[list[Step], bool]:
    """Edges that must be in the tour (nodes from 0), and whether their direction counts."""
    words = _words(_body(text), "FIXED_EDGES_SECTION")
    nodes = [int(word) - 1 for word in words if word != "-1"]
    return list(zip(nodes[::2], nodes[1::2], strict=True)), _entry(text, "TYPE") == "ATSP"


def step_costs_of_text(text: str, steps: list[Step]) -> list[int | None]:
    """Cost of every step (nodes from 0), None where there is no such edge."""
    text = _body(text)
    if _entry(text, "TYPE") == "HCP":
        edges = _graph(text)
        return [0 if step in edges else None for step in steps]
    weight_type = _entry(text, "EDGE_WEIGHT_TYPE")
    if weight_type == "EXPLICIT":
        return _explicit(text, steps)
    points = _points(text)
    if weight_type in {"EUC_3D", "MAN_3D", "MAX_3D", "XRAY1", "XRAY2"}:
        metric = cast("SpatialMetric", weight_type)
        return [spatial_distance(metric, points[i], points[j]) for i, j in steps]
    distance = distance_rule(cast("Metric", weight_type))
    return [distance(points[i], points[j], 1.0) for i, j in steps]


def _body(text: str) -> str:
    """The text before EOF, with one kind of line break and without a byte order mark."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\x1a", "")
    return re.split(r"(?im)^[ \t\f\v]*EOF\b", text, maxsplit=1)[0]


def _entry(text: str, keyword: str) -> str:
    found = re.search(rf"(?im)^[ \t\f\v]*{keyword}\b[ \t]*:?[ \t]*(\S+)", text)
    return found[1].upper() if found else ""


def _lines(text: str, heading: str) -> Iterator[list[str]]:
    """The words of every line of a section, up to the next line that begins with a letter."""
    inside = False
    for line in text.split("\n"):
        words = line.split()
        if words and (words[0][0].isalpha() or words[0][0] == "_"):
            inside = words[0].upper().rstrip(":") == heading
        elif inside and words:
            yield words


def _words(text: str, heading: str) -> list[str]:
    return [word for words in _lines(text, heading) for word in words]


def _points(text: str) -> dict[int, list[float]]:
    return {
        int(float(words[0])) - 1: [float(word) for word in words[1:]]
        for words in _lines(text, "NODE_COORD_SECTION")
    }


def _graph(text: str) -> set[Step]:
    words = [int(word) - 1 for word in _words(text, "EDGE_DATA_SECTION")]
    edges: set[Step] = set()
    if _entry(text, "EDGE_DATA_FORMAT") == "EDGE_LIST":
        edges.update(zip(words[::2], words[1::2], strict=False))
    else:
        node = None
        for word in words:
            if word == -2:  # the -1 of the file
                node = None
            elif node is None:
                node = word
            else:
                edges.add((node, word))
    return {*edges, *((j, i) for i, j in edges)}


def _explicit(text: str, steps: list[Step]) -> list[int | None]:
    words = _words(text, "EDGE_WEIGHT_SECTION")
    weight_format = _entry(text, "EDGE_WEIGHT_FORMAT")
    num_nodes = int(_entry(text, "DIMENSION"))
    return [int(Decimal(words[_place(weight_format, num_nodes, i, j)])) for i, j in steps]


def _place(weight_format: str, n: int, i: int, j: int) -> int:
    """Where among the listed weights that from node i to node j stands."""
    if weight_format == "FULL_MATRIX":
        return i * n + j
    diagonal = 1 if "DIAG" in weight_format else 0
    if weight_format in {"UPPER_ROW", "UPPER_DIAG_ROW", "LOWER_COL", "LOWER_DIAG_COL"}:
        low, high = min(i, j), max(i, j)
        # Lines of n, n - 1, ... weights with the diagonal, one less each without.
        return low * n - low * (low - 1) // 2 + high - low - (1 - diagonal) * (low + 1)
    low, high = min(i, j), max(i, j)
    return high * (high - 1) // 2 + diagonal * high + low

"""What the check reads from the text of a problem file: how many nodes, what a step costs.

A second reading, on purpose: it shares no code with the parser whose results the solver works on,
builds no matrix, and computes where in the file a weight stands. It trusts that the text has been
accepted as a problem before.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from decimal import Decimal
from typing import TypeAlias, cast

from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.schemas import COST_LIMIT, Metric
from optimized_tsp.solvers.tsp.spatial_metrics import SpatialMetric, spatial_distance

__all__ = ["Step", "TsplibReading"]

Step: TypeAlias = tuple[int, int]
"""From a node to another, counted from 0."""

_HEAD = re.compile(r"[ \t\f\v]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*:?(.*)")


class TsplibReading:
    """Number of nodes, fixed edges and the costs of steps.

    Keeps the coordinates, or the weights in the order of the file. `directed` says whether the
    direction of a fixed edge counts.
    """

    def __init__(self, text: str) -> None:
        entries, sections = _parts(text)
        self.num_nodes = int(entries["DIMENSION"])
        self.directed = entries["TYPE"] == "ATSP"
        fixed = [int(word) - 1 for word in _words(sections, "FIXED_EDGES_SECTION") if word != "-1"]
        self.fixed_edges = list(zip(fixed[::2], fixed[1::2], strict=True))
        self._weight_type = "" if entries["TYPE"] == "HCP" else entries["EDGE_WEIGHT_TYPE"]
        self._weight_format = entries.get("EDGE_WEIGHT_FORMAT", "")
        self._edges: set[Step] = set()
        self._weights = array("q")
        self._points: dict[int, list[float]] = {}
        if self._weight_type == "":
            self._edges = _graph(entries, sections)
        elif self._weight_type == "EXPLICIT":
            for line in sections["EDGE_WEIGHT_SECTION"]:
                self._weights.extend(_whole_numbers(line.split()))
        else:
            self._points = _points(sections)

    def cost(self, step: Step) -> int | None:
        """Cost of a step, None where there is no such edge."""
        if self._weight_type == "":
            return 0 if step in self._edges else None
        if self._weight_type == "EXPLICIT":
            return self._weights[_place(self._weight_format, self.num_nodes, *step)]
        a, b = (self._points[node] for node in step)
        if self._weight_type in {"EUC_3D", "MAN_3D", "MAX_3D", "XRAY1", "XRAY2"}:
            return spatial_distance(cast("SpatialMetric", self._weight_type), a, b)
        return distance_rule(cast("Metric", self._weight_type))(a, b, 1.0)


def _parts(text: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """First word of every entry, in capitals, and the lines of every section."""
    entries: dict[str, str] = {}
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    text = text.removeprefix("\ufeff").rstrip("\x1a\r\n\t ")
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        head = _HEAD.match(line)
        if head is None:
            lines.append(line)
            continue
        keyword, value = head[1].upper(), head[2].upper().split()
        if keyword == "EOF":
            break
        entries.setdefault(keyword, value[0] if value else "")
        lines = sections.setdefault(keyword, [])
    return entries, sections


def _words(sections: dict[str, list[str]], heading: str) -> Iterator[str]:
    return (word for line in sections.get(heading, ()) for word in line.split())


def _whole_numbers(words: list[str]) -> array[int]:
    """Weights; on the diagonal anything may stand, so numbers beyond all costs stay small."""
    try:
        return array("q", map(int, words))
    except (ValueError, OverflowError):  # other notations, or a diagonal beyond 64 bits
        small = (word if abs(float(word)) < COST_LIMIT else COST_LIMIT for word in words)
        return array("q", (int(Decimal(word)) for word in small))


def _points(sections: dict[str, list[str]]) -> dict[int, list[float]]:
    rows = (line.split() for line in sections["NODE_COORD_SECTION"])
    return {int(float(row[0])) - 1: [float(word) for word in row[1:]] for row in rows if row}


def _graph(entries: dict[str, str], sections: dict[str, list[str]]) -> set[Step]:
    nodes = [int(word) for word in _words(sections, "EDGE_DATA_SECTION")]
    edges: set[Step] = set()
    if entries["EDGE_DATA_FORMAT"] == "EDGE_LIST":
        nodes = [node for node in nodes if node != -1]
        edges.update(zip(nodes[::2], nodes[1::2], strict=True))
    else:
        first = -1
        for node in nodes:
            if node != -1 and first != -1:
                edges.add((first, node))
            if node == -1 or first == -1:
                first = node
    return {(a - 1, b - 1) for i, j in edges for a, b in ((i, j), (j, i))}


def _place(weight_format: str, n: int, i: int, j: int) -> int:
    """Where among the listed weights that from node i to node j stands."""
    if weight_format == "FULL_MATRIX":
        return i * n + j
    low, high = min(i, j), max(i, j)
    diagonal = 1 if "DIAG" in weight_format else 0
    if weight_format in {"UPPER_ROW", "UPPER_DIAG_ROW", "LOWER_COL", "LOWER_DIAG_COL"}:
        # Lines of n, n - 1, ... weights with the diagonal, one less each without.
        return low * n - low * (low - 1) // 2 + high - low - (1 - diagonal) * (low + 1)
    return high * (high - 1) // 2 + diagonal * high + low

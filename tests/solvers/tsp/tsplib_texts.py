"""Problem files written by the tests themselves, in every format."""

from __future__ import annotations

from collections.abc import Sequence

WORD_ORDER = {
    "FULL_MATRIX": lambda n: [(i, j) for i in range(n) for j in range(n)],
    "UPPER_ROW": lambda n: [(i, j) for i in range(n) for j in range(i + 1, n)],
    "LOWER_ROW": lambda n: [(i, j) for i in range(n) for j in range(i)],
    "UPPER_DIAG_ROW": lambda n: [(i, j) for i in range(n) for j in range(i, n)],
    "LOWER_DIAG_ROW": lambda n: [(i, j) for i in range(n) for j in range(i + 1)],
    "UPPER_COL": lambda n: [(i, j) for j in range(n) for i in range(j)],
    "LOWER_COL": lambda n: [(i, j) for j in range(n) for i in range(j + 1, n)],
    "UPPER_DIAG_COL": lambda n: [(i, j) for j in range(n) for i in range(j + 1)],
    "LOWER_DIAG_COL": lambda n: [(i, j) for j in range(n) for i in range(j, n)],
}
"""Every edge-weight format as the order in which it lists its entries (TSPLIB 95, section 1.1)."""


def lines(*parts: str) -> str:
    return "\n".join(parts) + "\n"


def explicit(
    matrix: Sequence[Sequence[int]], weight_format: str = "FULL_MATRIX", kind: str = "TSP"
) -> str:
    """A matrix as a problem file, one weight a line."""
    places = WORD_ORDER[weight_format](len(matrix))
    return lines(
        "NAME: small",
        f"TYPE: {kind}",
        f"DIMENSION: {len(matrix)}",
        "EDGE_WEIGHT_TYPE: EXPLICIT",
        f"EDGE_WEIGHT_FORMAT: {weight_format}",
        "EDGE_WEIGHT_SECTION",
        *(str(matrix[i][j]) for i, j in places),
        "EOF",
    )


def located(points: Sequence[Sequence[float]], weight_type: str, *more: str) -> str:
    """Points as a problem file; `more` are lines between the entries and the coordinates."""
    rows = (" ".join(map(repr, point)) for point in points)
    return lines(
        "NAME : small",
        "TYPE : TSP",
        f"DIMENSION : {len(points)}",
        f"EDGE_WEIGHT_TYPE : {weight_type}",
        *more,
        "NODE_COORD_SECTION",
        *(f"{node} {row}" for node, row in enumerate(rows, 1)),
        "EOF",
    )

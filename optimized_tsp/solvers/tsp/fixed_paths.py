"""Fixed edges joined to paths, or the reason why no tour has them all."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from optimized_tsp.solvers.contract import InfeasibilityCertificate

__all__ = ["Edge", "Path", "join_edges", "no_such_tour"]

Edge: TypeAlias = tuple[int, int]
Path: TypeAlias = list[int]

_SHOWN_NODES = 100


def join_edges(
    num_nodes: int, edges: list[Edge], *, directed: bool
) -> list[Path] | InfeasibilityCertificate:
    """The paths, of two nodes and more, that the edges form; an edge may be given twice.

    Edges that close a tour of all nodes are a path without the last of them.
    """
    edges = sorted({edge if directed else (min(edge), max(edge)) for edge in edges})
    onward: dict[int, list[int]] = {node: [] for edge in edges for node in edge}
    for source, target in edges:
        onward[source].append(target)
        if not directed:
            onward[target].append(source)
    entered = Counter(target for targets in onward.values() for target in targets)
    most = 1 if directed else 2
    for node in onward:
        if len(onward[node]) > most or entered[node] > most:
            return no_such_tour([node], f"Too many fixed edges meet in node {node}.")
    ends = [node for node in onward if entered[node] < most]
    paths: list[Path] = []
    walked: set[int] = set()
    for start in [*ends, *onward]:  # what is left after all that have ends are circles
        if start in walked:
            continue
        path = _walk(onward, start, directed=directed)
        walked.update(path)
        paths.append(path)
        if start not in ends and len(path) < num_nodes:
            message = f"Fixed edges close a circle of {len(path)} nodes, which is no tour of all."
            return no_such_tour(path, message)
    return paths


def no_such_tour(nodes: Path, message: str) -> InfeasibilityCertificate:
    """What shows that no tour has all the fixed edges."""
    return InfeasibilityCertificate(kind="fixed_edges", nodes=nodes[:_SHOWN_NODES], message=message)


def _walk(onward: dict[int, list[int]], start: int, *, directed: bool) -> Path:
    """From `start` to the end of its path, or all around its circle."""
    path = [start]
    while True:
        before = None if directed else path[-2:-1]
        ahead = [node for node in onward[path[-1]] if not before or node not in before]
        if not ahead or ahead[0] == start:
            return path
        path.append(ahead[0])

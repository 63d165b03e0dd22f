"""Lists of edges in TSPLIB files: those a tour must have, and those of a graph (TYPE: HCP)."""

from __future__ import annotations

import numpy as np

from optimized_tsp.solvers.tsp.arcs import IntArray
from optimized_tsp.solvers.tsp.tsplib_nodes import read_node_lists
from optimized_tsp.solvers.tsp.tsplib_text import Document, Section, TsplibError, shown

__all__ = ["read_arcs", "read_fixed_edges"]

NodeList = list[tuple[int, int]]

# Every fixed edge of a tour twice over, and the -1 at the end of a file with one node.
_MOST_WORDS_A_NODE = 5


def read_fixed_edges(document: Document, num_nodes: int) -> list[tuple[int, int]]:
    """Edges that have to be in the tour, nodes from 0, in the file's order; empty without any."""
    section = document.sections.get("FIXED_EDGES_SECTION")
    if section is None:
        return []
    if section.count_words() > _MOST_WORDS_A_NODE * num_nodes:
        message = f"A tour of {num_nodes} nodes has {num_nodes} edges; these are too many to read."
        raise TsplibError(section.line, "too_many_fixed_edges", message)
    return _pairs(section, num_nodes)


def read_arcs(document: Document, num_nodes: int) -> tuple[IntArray, IntArray]:
    """Both directions of every edge of an undirected graph, each once, as sources and targets."""
    entry = document.need("EDGE_DATA_FORMAT")
    section = document.need_section("EDGE_DATA_SECTION")
    if entry.choice() == "EDGE_LIST":
        pairs = _pairs(section, num_nodes)
    elif entry.choice() == "ADJ_LIST":
        pairs = _adjacent(section, num_nodes)
    else:
        message = f"EDGE_DATA_FORMAT is EDGE_LIST or ADJ_LIST, not {shown(entry.choice())}."
        raise TsplibError(entry.line, "unsupported_edge_format", message)
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    both_ways = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
    return both_ways[:, 0], both_ways[:, 1]


def _pairs(section: Section, num_nodes: int) -> list[tuple[int, int]]:
    """The edges of one list of node pairs, ended by -1."""
    lists = read_node_lists(section, num_nodes)
    if len(lists) > 1:
        line = next((nodes[0][1] for nodes in lists[1:] if nodes), section.last_line)
        raise TsplibError(line, "data_after_end", f"-1 ended {section.keyword} before this line.")
    nodes: NodeList = lists[0] if lists else []
    if len(nodes) % 2:
        message = f"{section.keyword} holds pairs of nodes; this one lacks its second node."
        raise TsplibError(nodes[-1][1], "incomplete_pair", message)
    return _edges(list(zip(nodes[::2], nodes[1::2], strict=True)))


def _adjacent(section: Section, num_nodes: int) -> list[tuple[int, int]]:
    """The edges of lists `node neighbour neighbour ... -1`, an additional -1 at the end."""
    lists = read_node_lists(section, num_nodes)
    if not all(lists[:-1]):
        message = "An empty list ends EDGE_DATA_SECTION; more follow."
        raise TsplibError(section.last_line, "data_after_end", message)
    return _edges([(nodes[0], other) for nodes in lists for other in nodes[1:]])


def _edges(pairs: list[tuple[tuple[int, int], tuple[int, int]]]) -> list[tuple[int, int]]:
    for (source, line), (target, _) in pairs:
        if source == target:
            message = f"An edge from node {source + 1} to itself cannot be part of a tour."
            raise TsplibError(line, "self_loop", message)
    return [(source, target) for (source, _), (target, _) in pairs]

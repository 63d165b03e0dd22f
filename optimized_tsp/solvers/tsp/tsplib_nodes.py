"""Nodes in TSPLIB files: numbers from 1 there, indices from 0 here."""

from __future__ import annotations

from optimized_tsp.solvers.tsp.tsplib_text import (
    Section,
    TsplibError,
    is_number,
    not_a_number,
    shown,
)

__all__ = ["no_such_node", "read_node_lists"]


def read_node_lists(section: Section, num_nodes: int) -> list[list[tuple[int, int]]]:
    """Lists of nodes, each ended by -1 (the last may lack it), as (node from 0, line)."""
    lists: list[list[tuple[int, int]]] = [[]]
    for line, words in section.rows():
        for word in words:
            if word == "-1":
                lists.append([])
            else:
                lists[-1].append((_node(word, line, num_nodes), line))
    if not lists[-1]:
        lists.pop()
    return lists


def _node(word: str, line: int, num_nodes: int) -> int:
    """A node number of the file as an index from 0."""
    if not (word.isascii() and word.isdigit() and len(word) <= 18):
        if not is_number(word):
            raise TsplibError(line, "not_a_number", f"{not_a_number(word)}.")
    elif 1 <= int(word) <= num_nodes:
        return int(word) - 1
    raise TsplibError(line, "no_such_node", no_such_node(word, num_nodes))


def no_such_node(word: str, num_nodes: int) -> str:
    return f"There is no node {shown(word)}: nodes are 1 to {num_nodes}."

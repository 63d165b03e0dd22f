"""TSPLIB tour files (.tour): written for others, read as tours to start from.

G. Reinelt, "TSPLIB 95", sections 1.1 (TYPE: TOUR) and 1.2.8 (TOUR_SECTION). Nodes count from 1 in
the file and from 0 here.
"""

from __future__ import annotations

from collections.abc import Sequence

from optimized_tsp.solvers.tsp.schemas import MAX_NODES
from optimized_tsp.solvers.tsp.tsplib_nodes import read_node_lists
from optimized_tsp.solvers.tsp.tsplib_text import TsplibError, read_document

__all__ = ["read_tour", "write_tour"]


def write_tour(name: str, cost: int, node_order: Sequence[int], *, round_trip: bool = True) -> str:
    """The text of a tour file; its comment gives the length as LKH writes it.

    TSPLIB knows round trips only, so a second comment says where there is no way back.
    """
    no_way_back = "COMMENT : Open path from the first node to the last; the length is without"
    one_line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    head = [
        f"NAME : {one_line or 'tour'}",
        f"COMMENT : Length = {cost}",
        *([] if round_trip else [f"{no_way_back} a way back"]),
        "TYPE : TOUR",
        f"DIMENSION : {len(node_order)}",
        "TOUR_SECTION",
    ]
    return "\n".join([*head, *(str(node + 1) for node in node_order), "-1", "EOF", ""])


def read_tour(text: str, *, max_nodes: int = MAX_NODES) -> list[int]:
    """The nodes of the one tour in a tour file, in its order; raises `TsplibError`."""
    document = read_document(text)
    kind = document.need("TYPE")
    if kind.choice() != "TOUR":
        raise TsplibError(kind.line, "unsupported_type", "TYPE of a tour file is TOUR.")
    num_nodes = document.dimension(max_nodes)
    section = document.need_section("TOUR_SECTION")
    tours = [tour for tour in read_node_lists(section, num_nodes) if tour]
    if len(tours) != 1:
        line = tours[1][0][1] if tours else section.last_line
        raise TsplibError(line, "wrong_count", f"One tour is expected here, not {len(tours)}.")
    first_visits: dict[int, int] = {}
    for node, line in tours[0]:
        if node in first_visits:
            message = f"The tour visits node {node + 1} twice, first on line {first_visits[node]}."
            raise TsplibError(line, "repeated_node", message)
        first_visits[node] = line
    if len(first_visits) != num_nodes:
        message = f"The tour visits {len(first_visits)} of {num_nodes} nodes."
        raise TsplibError(section.last_line, "wrong_count", message)
    return list(first_visits)
